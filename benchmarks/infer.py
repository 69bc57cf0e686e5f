"""What `vidpose infer` costs over a bare loop that decodes and runs MediaPipe's BlazePose, and whether memory grows.

    python benchmarks/infer.py VIDEO --mediapipe-python OTHER/bin/python --seconds 60

The bare loop wants mediapipe 0.10.21, which cannot live beside a numpy of today: OTHER is an environment with it, with
opencv-python and av. Whole processes, in turn, on the same video, which is repeated until it lasts the seconds asked
for. Ratios of wall time mean something on a machine that does nothing else; on another, look at processor time. Memory
is the peak of the process, on the video and on the same video ten times over.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import click

BARE = """
import sys, av, mediapipe as mp
with mp.solutions.pose.Pose(model_complexity=1) as pose, av.open(sys.argv[1]) as container:
    container.streams.video[0].thread_type = "AUTO"
    for frame in container.decode(video=0):
        pose.process(frame.to_ndarray(format="rgb24"))
"""


@dataclass(frozen=True)
class Cost:
    """Of a process: wall seconds, processor seconds, peak MiB."""

    wall: float
    processor: float
    memory: float


def run(*command: str) -> Cost:
    started = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    peak = usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
    return Cost(time.monotonic() - started, usage.ru_utime + usage.ru_stime, peak)


def infer(video: Path, *options: str) -> Cost:
    with tempfile.TemporaryDirectory() as out:
        return run(sys.executable, "-m", "vidpose", "infer", str(video), "--out", out, *options)


def duration(video: Path) -> float:
    import av

    with av.open(str(video)) as source:
        return float(source.duration / av.time_base)


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
@click.option("--mediapipe-python", default=sys.executable, show_default=True, help="A Python that has mediapipe.")
@click.option("--seconds", default=60.0, show_default=True, help="Repeat the video until it lasts so long.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--memory/--no-memory", default=True, show_default=True)
def main(video: Path, mediapipe_python: str, seconds: float, rounds: int, memory: bool) -> None:
    ways = {
        "full, no overlay": ("--keypoints", "blazepose-full", "--no-overlay"),
        "full": ("--keypoints", "blazepose-full"),
        "heavy, no overlay": ("--no-overlay",),
        "heavy": (),
    }
    with tempfile.TemporaryDirectory() as folder:
        longer = Path(folder) / f"longer{video.suffix}"
        repeat(video, max(1, ceil(seconds / duration(video))), longer)
        costs: dict[str, list[tuple[Cost, Cost]]] = {way: [] for way in ways}
        for _ in range(rounds):
            bare = run(mediapipe_python, "-c", BARE, str(longer))
            print(f"bare loop: {bare.wall:.1f} s, {bare.processor:.1f} s of processors", flush=True)
            for way, options in ways.items():
                cost = infer(longer, *options)
                costs[way].append((cost, bare))
                print(f"{way}: {cost.wall:.1f} s, {cost.processor:.1f} s of processors", flush=True)
        for way, pairs in costs.items():
            wall = statistics.median(cost.wall / bare.wall for cost, bare in pairs)
            processor = statistics.median(cost.processor / bare.processor for cost, bare in pairs)
            print(f"{way}: median ratio to the bare loop {wall:.2f}, of processor time {processor:.2f}")
        if memory:
            ten = Path(folder) / f"ten{video.suffix}"
            repeat(video, 10, ten)
            once, often = infer(video).memory, infer(ten).memory
            print(f"peak memory: {once:.0f} MiB, ten times longer {often:.0f} MiB, ratio {often / once:.3f}")


if __name__ == "__main__":
    main()
