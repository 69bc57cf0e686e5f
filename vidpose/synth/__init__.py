"""A rendered person whose joints are exactly known, for samples and end-to-end tests.

Motion is procedural (`motion`), bones have constant lengths (`figure`), the body is a signed distance around the 17
joints (`frames`, `body`, `head`, `shapes`), and a sphere tracer lights it in a room (`raycast`, `light`, `room`,
`studio`). `scenes` says who does what; `film` makes a video of it, and its truth.
"""
