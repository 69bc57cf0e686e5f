"""How many videos `vidpose batch` does with one, two, and more workers.

    python benchmarks/batch.py VIDEO --workers 1,2,4 --videos 8 --figure throughput.png

Whole processes, in turn, each with as many copies of the video: start of the workers and of their networks included,
no overlay. Wall time means something on a machine that does nothing else; processor time, nearly everywhere.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import click
from infer import Cost, duration, run


def batch(folder: Path, workers: int) -> Cost:
    with tempfile.TemporaryDirectory() as out:
        options = ("--out", out, "--workers", str(workers), "--no-overlay")
        return run(sys.executable, "-m", "vidpose", "batch", str(folder), *options)


def draw(throughputs: dict[int, float], path: Path) -> None:
    """Seconds of video in a second against workers, and the line through the first on which nothing is lost."""
    from matplotlib.figure import Figure

    first = next(iter(throughputs))
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(throughputs.keys(), throughputs.values(), "o-", label="measured")
    axes.plot(throughputs.keys(), [throughputs[first] * n / first for n in throughputs], "--", label="nothing lost")
    axes.set(xlabel="workers", ylabel="seconds of video a second", ylim=(0, None), xticks=list(throughputs))
    axes.legend()
    figure.savefig(path, dpi=120)


@click.command()
@click.argument("video", type=click.Path(exists=True, path_type=Path))
@click.option("--workers", "counts", default="1,2", show_default=True, help="Numbers of workers, commas between.")
@click.option("--videos", default=8, show_default=True, help="Copies of the video in a batch.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--figure", type=click.Path(path_type=Path), help="Draw throughput against workers: .png or .svg.")
def main(video: Path, counts: str, videos: int, rounds: int, figure: Path | None) -> None:
    costs: dict[int, list[Cost]] = {int(count): [] for count in counts.split(",")}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(videos):
            shutil.copy(video, Path(folder) / f"{number}{video.suffix}")
        for _ in range(rounds):
            for workers, some in costs.items():
                some.append(batch(Path(folder), workers))
                print(f"{workers} workers: {some[-1].wall:.1f} s, {some[-1].processor:.1f} s of processors", flush=True)
    seconds = videos * duration(video)
    throughputs = {workers: seconds / statistics.median(c.wall for c in some) for workers, some in costs.items()}
    for workers, some in costs.items():
        processor = statistics.median(cost.processor for cost in some) / seconds
        print(
            f"{workers} workers: {throughputs[workers]:.2f} s of video a second; "
            f"{processor:.2f} s of processors for a second of video"
        )
    if figure:
        draw(throughputs, figure)


if __name__ == "__main__":
    main()
