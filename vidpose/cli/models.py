"""`vidpose models`: the lifters there are."""

from __future__ import annotations

import json
from dataclasses import asdict

import rich_click as click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models(as_json: bool) -> None:
    """List the lifters as their papers have them, and the weights that come with vidpose, which are smaller."""
    from vidpose.lifters import lifter_names
    from vidpose.lifters.summary import summarise
    from vidpose.lifters.zoo import DEFAULT, shipped_lifters

    summaries = [summarise(name) for name in lifter_names()]
    ours = {weights.name: weights for weights in shipped_lifters()}
    if as_json:
        listed = [
            asdict(s) | {"weights": own and own.file, "shipped": own and asdict(own)}
            for s in summaries
            for own in [ours.get(s.name)]
        ]
        click.echo(json.dumps(listed, indent=2))
        return

    from rich.table import Table

    from vidpose.cli.console import table_console

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading, side in (("lifter", "left"), ("paper", "left"), ("parameters", "right"), ("MACs/frame", "right"),
                          ("sees", "right"), ("answers", "left"), ("MPJPE", "right")):  # fmt: skip
        table.add_column(heading, justify=side, no_wrap=True)
    for s in summaries:
        table.add_row(
            s.name,
            s.paper.venue,
            f"{s.parameters / 1e6:.2f} M",
            f"{s.macs_per_frame / 1e6:,.1f} M",
            f"{s.receptive_field}",
            {"sequence": "all frames", "centre": "centre frame", "last": "last frame"}[s.predicts],
            f"{s.paper.mpjpe:.1f}" if s.paper.mpjpe else "",
        )
    console = table_console()
    console.print(table)
    click.echo(
        "\nsees: how many frames decide the answer for one. MPJPE: millimetres on Human3.6M, protocol 1, as the paper "
        "reports it.\nTitles of papers, and how they measured: vidpose models --json\n"
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("weights that come with vidpose", "parameters", "MiB", "joints", "window", "MPJPE", "P-MPJPE"):
        table.add_column(heading, justify="left" if heading[0] in "wj" else "right", no_wrap=True)
    for own in ours.values():
        table.add_row(
            f"{own.name}, the default" if own.name == DEFAULT else own.name,
            f"{own.parameters / 1e6:.2f} M",
            f"{own.mib:.1f}",
            own.layout,
            f"{own.frames}",
            *(f"{error:.1f}" if error else "" for error in (own.mpjpe, own.p_mpjpe)),
        )
    console.print(table)
    click.echo(
        "\nTheir errors: millimetres on held-out motion capture, by imitated 2D keypoints; not to be compared with the "
        "papers'."
    )
