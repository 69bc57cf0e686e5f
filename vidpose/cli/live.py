"""`vidpose live`: skeletons of whoever is before a camera, on the screen and to other programs."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import rich_click as click

from vidpose.cli.bundles import Number, bundled, option
from vidpose.cli.infer_options import FILE, lens_options, limit_threads
from vidpose.cli.progress import counting
from vidpose.cli.terminal import say
from vidpose.common.files import check_outputs, check_suffix
from vidpose.live.streaming import KEYPOINTS, Streaming
from vidpose.pipeline.choices import Finding
from vidpose.refine.focal import Lens

click.rich_click.OPTION_GROUPS["*live"] = [
    {"name": "Find people", "options": ["--detector", "--keypoints", "--detector-weights", "--keypoints-weights",
                                        "--detect-every", "--max-people", "--min-score", "--threads", "--device"]},
    {"name": "Lift to 3D", "options": ["--lifter", "--smooth", "--fov", "--focal"]},
    {"name": "Send and show", "options": ["--osc", "--vmc", "--host", "--port", "--open"]},
    {"name": "Files", "options": ["--out", "--overwrite"]},
]  # fmt: skip

_finding_options = bundled(
    Finding,
    option(Finding, "--detector", metavar="NAME", help="Network that finds people."),
    option(Finding, "--keypoints", metavar="NAME", default=KEYPOINTS, help="Network that finds their 2D joints."),
    option(Finding, "--detector-weights", type=FILE, metavar="FILE", help="Weights for the detector."),
    option(Finding, "--keypoints-weights", type=FILE, metavar="FILE", help="Weights for the keypoint network."),
    option(Finding, "--detect-every", type=click.IntRange(min=1), metavar="N",
           help="Run the detector on every Nth frame, and follow people in between."),
    option(Finding, "--max-people", type=click.IntRange(min=1), help="At most this many people, the most prominent."),
    option(Finding, "--min-score", type=Number(0, 1),
           help="Leave out people whose keypoints score less than this on average."),
    option(Finding, "--threads", type=click.IntRange(min=1), metavar="N",
           help="Threads of the CPU that the networks use."),
)  # fmt: skip

_streaming_options = bundled(
    Streaming,
    option(Streaming, "--lifter", metavar="NAME|FILE",
           help="Network from 2D to 3D that needs no frames to come: martinez or seq2seq, or a .safetensors file."),
    option(Streaming, "--smooth", metavar="METHOD", help="Smooth the joints: one-euro:HZ or none."),
    option(Streaming, "--osc", metavar="HOST:PORT", help="Send joints there over OSC."),
    option(Streaming, "--vmc", metavar="HOST:PORT",
           help="Move the avatar that listens there over VMC, most often at 127.0.0.1:39539."),
    option(Streaming, "--host", metavar="ADDRESS",
           help="Listen there for the page and the WebSocket. 0.0.0.0 lets everybody on the network look."),
    option(Streaming, "--port", type=click.IntRange(0, 65535), help="Port of the page and the WebSocket."),
    option(Streaming, "--device", help="For the networks: auto, cpu, cuda or cuda:N."),
)  # fmt: skip


@click.command()
@click.argument("source", default="0", metavar="[CAMERA|FILE|URL]")
@_finding_options
@_streaming_options
@lens_options
@click.option("--open/--no-open", "opening", default=True, show_default=True, help="Open the page in the browser.")
@click.option("--out", type=FILE, metavar="FILE", help="Save what was seen as a .npz, at the end.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def live(
    source: str,
    finding: Finding,
    streaming: Streaming,
    lens: Lens,
    opening: bool,
    out: Path | None,
    overwrite: bool,
) -> None:
    """3D skeletons of whoever is before a camera (its number, 0 if none is given), in a stream, or in a file.

    Shows a page in the browser, and sends joints to other programs: over WebSocket, OSC and VMC. A file is played at
    its own speed. Whoever is too slow misses frames, and is not late. Ctrl-C ends it.
    """
    if out:
        check_suffix(out, "a result", [".npz"])
        check_outputs([out], overwrite, inputs=[Path(source), *finding.inputs, Path(streaming.lifter)])
    limit_threads(finding)

    from vidpose.live.live_run import run_live
    from vidpose.live.recording import LiveRecording

    def ready(url: str) -> None:
        say(f"page at {url}, frames as JSON at ws{url.removeprefix('http')}; Ctrl-C ends it")
        if opening and not webbrowser.open(url):
            say("no browser could be started; open the page by hand")

    recording = LiveRecording() if out else None
    try:
        with counting("live") as show:
            report = run_live(
                source, finding, streaming, lens,
                on_ready=ready, on_frame=lambda so_far: show(so_far.frames, so_far.now()), recording=recording,
            )  # fmt: skip
    finally:
        if out and recording and recording.frames:
            recording.result().save(out)
            say(f"wrote {out}")
    say(str(report))
