"""How late `vidpose live` is: a video played at its own speed, to a page and to a program that listens to OSC.

    python benchmarks/live.py VIDEO --seconds 30

The video is repeated until it lasts so long. Latency is from when a picture came to when its joints were sent. On a
machine that does other work too, frames are dropped and latency is that of the others' work as well; processor time
from one frame sent to the next, decoding included, says what latency would be alone on one core, at most.
"""

from __future__ import annotations

import socket
import tempfile
import time
from math import ceil
from pathlib import Path

import click
import numpy as np
from infer import duration, repeat

from vidpose.live.live_run import LiveReport, run_live
from vidpose.live.streaming import Streaming
from vidpose.pipeline.choices import Finding
from vidpose.refine.focal import Lens

PERCENTILES = (50, 95, 99)


def play(video: Path, keypoints: str, lifter: str, threads: int | None) -> None:
    """Play once, and print what came of it."""
    marks: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
        program.bind(("127.0.0.1", 0))
        streaming = Streaming(lifter=lifter, port=0, osc=f"127.0.0.1:{program.getsockname()[1]}")

        def note(_: LiveReport) -> None:
            marks.append(time.process_time())

        report = run_live(str(video), Finding(keypoints=keypoints, threads=threads), streaming, Lens(), on_frame=note)
    costs = np.percentile(1000 * np.diff(marks), PERCENTILES)
    latencies = [report.latency(percentile) for percentile in PERCENTILES]
    print(
        f"{keypoints}, {lifter}: {report.frames} frames, {report.dropped} dropped; "
        f"latency {', '.join(f'{one:.0f}' for one in latencies)} ms; "
        f"processor {', '.join(f'{one:.0f}' for one in costs)} ms (50, 95, 99 %)",
        flush=True,
    )


@click.command()
@click.argument("video", type=click.Path(exists=True, path_type=Path))
@click.option("--seconds", default=30.0, show_default=True, help="Repeat the video until it lasts so long.")
@click.option("--threads", type=int, help="Of the networks.  [default: as many as there are]")
def main(video: Path, seconds: float, threads: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        longer = Path(folder) / f"longer{video.suffix}"
        repeat(video, max(1, ceil(seconds / duration(video))), longer)
        for keypoints, lifter in (("lite", "martinez"), ("full", "martinez"), ("full", "seq2seq")):
            play(longer, f"blazepose-{keypoints}", lifter, threads)


if __name__ == "__main__":
    main()
