"""Peak memory against the length of a video, of everything that comes after the last frame.

    python benchmarks/memory.py --minutes 1 10 60

Two people walk for so long, at 30 frames a second. Each stage is a process of its own, whose peak is told beside what
it has before it begins and beside the size of the arrays: `vidpose infer --from-keypoints`, the same without
the fit, which takes most of the time, and each export.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

FPS = 30
INFER = {"infer": "", "infer-no-fit": "--no-fit"}
EXPORTS = ("json", "csv", "html", "coco", "openpose", "gltf", "bvh", "trc", "mot", "c3d")


def write_result(path: Path, minutes: float, lifted: bool) -> int:
    """A result of two people who walk on the spot; gives the bytes of its arrays."""
    from vidpose.body.skeletons import BLAZEPOSE_33, H36M_17
    from vidpose.body.tracks import PinholeCamera, PoseResult, Source, Track

    frames = round(60 * FPS * minutes)
    times = np.arange(frames) / FPS
    sizes, tracks = 0, []
    for person in (1, 2):
        rng = np.random.default_rng(person)
        swing = np.sin(2 * np.pi * times[:, None] + rng.uniform(0, 6, 33))
        keypoints = rng.uniform(200, 400, (1, 33, 2)) + 10 * swing[..., None] + 200 * person
        scores = np.full((frames, 33), 0.9, np.float32)
        boxes = np.tile(np.array([200, 200, 420, 420], np.float32) + 200 * person, (frames, 1))
        track = Track.of_keypoints(person, np.arange(frames), times, boxes, keypoints.astype(np.float32), scores)
        if lifted:
            from dataclasses import replace

            joints = (rng.normal(0, 0.4, (1, 17, 3)) + 0.02 * swing[:, :17, None]).astype(np.float32)
            joints -= joints[:, :1]
            roots = np.tile(np.array([person - 1.5, 0, 5], np.float32), (frames, 1))
            track = replace(track, joints=joints, joint_scores=np.ones((frames, 17), np.float32), roots=roots)
        tracks.append(track)
        sizes += sum(part.nbytes for part in vars(track).values() if isinstance(part, np.ndarray))
    source = Source("walk.mp4", 1280, 720, times, Fraction(FPS))
    camera = PinholeCamera((1000.0, 1000.0), (640.0, 360.0)) if lifted else None
    PoseResult(source, tuple(tracks), BLAZEPOSE_33.name, H36M_17.name if lifted else "", {}, camera).save(path)
    return sizes


def stage(words: list[str]) -> None:
    """Run a command in this process, and tell its seconds and peaks: before it began, and at its end."""
    import vidpose.body.tracks
    import vidpose.cli
    import vidpose.export
    import vidpose.pipeline.job

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.monotonic()
    sys.argv = ["vidpose", *words]
    try:
        vidpose.cli.main()
    except SystemExit as stopped:
        if stopped.code:
            raise
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nMEASURED {time.monotonic() - started:.1f} {before:.0f} {peak:.0f}")


def measured(words: list[str]) -> tuple[float, float, float]:
    done = subprocess.run([sys.executable, __file__, "--stage", *words], capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("MEASURED")), None)
    if line is None:
        print(done.stderr[-600:])
        return (float("nan"),) * 3
    return tuple(map(float, line.split()[1:]))


def main() -> None:
    if sys.argv[1:2] == ["--stage"]:
        stage(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10, 60])
    parser.add_argument("--only", nargs="*", default=[*INFER, *EXPORTS])
    given = parser.parse_args()
    print(
        "| stage | minutes | arrays, MiB | before, MiB | peak, MiB | added per MiB of arrays "
        "| since the length before | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|")
    shorter: dict[str, tuple[float, float]] = {}
    for minutes in given.minutes:
        with tempfile.TemporaryDirectory() as place:
            found, lifted = Path(place) / "found.npz", Path(place) / "lifted.npz"
            size = write_result(found, minutes, False) / 2**20
            write_result(lifted, minutes, True)
            for name in given.only:
                words = ["export", str(lifted), "--format", name, "--out", f"{place}/{name}"]
                if name in INFER:
                    infer = (
                        f"infer --from-keypoints {found} --no-overlay --device cpu --format csv --out {place}/{name}"
                    )
                    words = [*infer.split(), *INFER[name].split()]
                seconds, before, peak = measured(words)
                added, grown = (peak - before) / size, ""
                if name in shorter:
                    grown = f"{(peak - shorter[name][1]) / (size - shorter[name][0]):.1f}"
                shorter[name] = (size, peak)
                row = (name, f"{minutes:g}", f"{size:.1f}", f"{before:.0f}", f"{peak:.0f}", f"{added:.1f}", grown)
                print("| " + " | ".join((*row, f"{seconds:.0f}")) + " |", flush=True)


if __name__ == "__main__":
    main()
