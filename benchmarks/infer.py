"""What `vidpose infer` costs over a bare loop that decodes and runs BlazePose, and whether memory grows with length.

    python benchmarks/infer.py VIDEO

Whole processes, in turn, on the same video: only the ratios mean anything on a shared machine. Memory is the peak of
the process, on the video and on the same video ten times over.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

BARE = """
import sys, av, mediapipe as mp
with mp.solutions.pose.Pose(model_complexity=1) as pose, av.open(sys.argv[1]) as container:
    container.streams.video[0].thread_type = "AUTO"
    for frame in container.decode(video=0):
        pose.process(frame.to_ndarray(format="rgb24"))
"""


def run(*command: str) -> tuple[float, float]:
    """Wall seconds and peak MiB of a process."""
    started = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    return time.monotonic() - started, usage.ru_maxrss / (1 if sys.platform == "darwin" else 1024)


def infer(video: Path, *options: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as out:
        return run(sys.executable, "-m", "vidpose", "infer", str(video), "--out", out, *options)


def repeat(video: Path, times: int, path: Path) -> None:
    """The same frames again and again, packets copied, not encoded anew."""
    import av

    with av.open(str(path), "w") as out:
        stream, offset, step = None, 0, 1
        for _ in range(times):
            last = 0
            with av.open(str(video)) as source:
                picture = source.streams.video[0]
                stream = stream or out.add_stream_from_template(picture)
                for packet in source.demux(picture):
                    if packet.dts is None:
                        continue
                    step = packet.duration or step
                    last = max(last, packet.pts + step)
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                    out.mux(packet)
            offset += last


@click.command()
@click.argument("video", type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=3, show_default=True)
@click.option("--memory/--no-memory", default=True, show_default=True)
def main(video: Path, rounds: int, memory: bool) -> None:
    plain, drawn = [], []
    for _ in range(rounds):
        bare, _ = run(sys.executable, "-c", BARE, str(video))
        without, _ = infer(video, "--no-overlay")
        with_overlay, _ = infer(video)
        plain.append(without / bare)
        drawn.append(with_overlay / bare)
        print(f"bare {bare:.1f} s   infer {without:.1f} s   with overlay {with_overlay:.1f} s", flush=True)
    print(f"median ratio to bare: {statistics.median(plain):.2f}, with overlay {statistics.median(drawn):.2f}")
    if memory:
        with tempfile.TemporaryDirectory() as folder:
            long = Path(folder) / f"long{video.suffix}"
            repeat(video, 10, long)
            (_, short_mib), (_, long_mib) = infer(video), infer(long)
        print(
            f"peak memory: {short_mib:.0f} MiB, ten times longer {long_mib:.0f} MiB, ratio {long_mib / short_mib:.3f}"
        )


if __name__ == "__main__":
    main()
