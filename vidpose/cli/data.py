"""`vidpose data`: benchmarks, from the files people have to the one layout that training and evaluation share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from vidpose.cli.terminal import say
from vidpose.datasets import DATASETS, MOTION_SETS

if TYPE_CHECKING:
    from vidpose.body.tracks import PoseResult

_NAMES = "|".join(DATASETS)
_ALL = "|".join((*DATASETS, *MOTION_SETS))
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def data() -> None:
    """Prepare benchmarks, and look at what is in them."""


@data.command()
@click.argument("name", metavar=_ALL)
@click.option("--source", required=True, type=_FOLDER, help="Folder of the files.")
@click.option("--out", type=_FOLDER, help="Folder to write to.  [default: data/NAME]")
@click.option("--skeleton", type=click.Path(dir_okay=False, path_type=Path), metavar="map.toml",
              help="Which points are which joints, for motion whose names do not tell.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Prepare it again from the start.")
def prepare(name: str, source: Path, out: Path | None, skeleton: Path | None, overwrite: bool) -> None:
    """Read a benchmark from the files that its authors give out, or motion capture to train on.

    Motion capture is filmed by virtual cameras: cmu17 is what CMU publishes; motion is anyone's BVH, AMC, C3D and TRC
    files, and results of vidpose's own.

    Does nothing where it is prepared already. After an interruption, the same command goes on.
    """
    from contextlib import nullcontext

    from vidpose.common.errors import UsageError
    from vidpose.common.files import alone_in
    from vidpose.datasets import get_dataset
    from vidpose.datasets.store import Store, StoreWriter, fresh_folder

    if skeleton and name != "motion":
        raise UsageError(f"--skeleton {skeleton}: only `vidpose data prepare motion` takes a map")
    if name in MOTION_SETS:
        _prepare_motion(name, source, out or Path("data") / name, skeleton, overwrite)
        return

    dataset, out = get_dataset(name), out or Path("data") / name
    if (out / "index.json").is_file() and not overwrite:
        store = Store(out)
        if store.name != name:
            raise UsageError(f"{out}: holds {store.name}; choose another --out")
        say(f"{out}: prepared already, {len(store.clips)} clips; --overwrite prepares it again")
        return
    if not source.is_dir():
        raise UsageError(f"{source}: no such folder; --source is where the benchmark's files lie")
    with alone_in(out), fresh_folder(out) if overwrite else nullcontext(out) as folder:
        store = dataset.prepare(source, StoreWriter(folder, name, dataset.LAYOUT), say)
        store = store.moved_to(out) if overwrite else store
    say(f"wrote {out}: {len(store.clips)} clips, {sum(clip.frames for clip in store.clips)} frames")


def _prepare_motion(name: str, source: Path, out: Path, skeleton: Path | None, overwrite: bool) -> None:
    """Write shards of motion capture."""
    from vidpose.common.errors import UsageError
    from vidpose.datasets.cmu17 import prepare_cmu17
    from vidpose.datasets.mocap.skeleton_names import read_map
    from vidpose.datasets.own_motion import prepare_motion

    if not source.is_dir():
        raise UsageError(f"{source}: no such folder; --source is where the recordings lie")
    there = sorted(out.glob(f"{name}_*_00.npz"))
    if there and not overwrite:
        say(f"{out}: prepared already, {len(there)} shards; --overwrite prepares it again")
        return
    if name == "cmu17":
        written = prepare_cmu17(source, out, say)
    else:
        given = read_map(skeleton) if skeleton else None
        written = prepare_motion(source, out, say, skeleton=given)
    for path in there:
        if path not in written:
            path.unlink()
    for path in written:
        say(f"wrote {path}")


@data.command()
@click.argument("name", metavar=_ALL)
@click.option("--data", "folder", type=_FOLDER, help="Folder of the prepared benchmark.  [default: data/NAME]")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path),
              help="Draw a few poses to this PNG.  [default: poses.png in the folder]")  # fmt: skip
def info(name: str, folder: Path | None, picture: Path | None) -> None:
    """Describe a prepared benchmark: counts, subjects, cameras, inputs, bones, distances; and draw some poses.

    Of motion capture, cmu17 or motion: how much of whom there is, and how straight people stand.
    """
    if name in MOTION_SETS:
        from vidpose.datasets.cmu17 import describe_motion

        for line in describe_motion(folder or Path("data") / name):
            say(line)
        return
    from vidpose.datasets.store import open_store
    from vidpose.evaluation.describe import describe_store, draw_store

    store = open_store(name, folder)
    for line in describe_store(store):
        say(line)
    picture = picture or store.folder / "poses.png"
    draw_store(store, picture)
    say(f"wrote {picture}")


@data.command()
@click.argument("name", metavar=_NAMES)
@click.option("--videos", required=True, type=_FOLDER, help="Folder of its videos.")
@click.option("--data", "folder", type=_FOLDER, help="Folder of the prepared benchmark.  [default: data/NAME]")
@click.option("--detector", default="nanodet", show_default=True, metavar="NAME",
              help="Network that finds people, as for `vidpose infer`.")  # fmt: skip
@click.option("--keypoints", default="blazepose-heavy", show_default=True, metavar="NAME",
              help="Network that finds their 2D joints.")  # fmt: skip
@click.option("--detector-weights", type=click.Path(path_type=Path), metavar="FILE",
              help="Weights of the detector, instead of those published.")  # fmt: skip
@click.option("--keypoints-weights", type=click.Path(path_type=Path), metavar="FILE",
              help="Weights of the keypoint network, instead of those published.")  # fmt: skip
@click.option("--in-step", is_flag=True, help="A clip network sees all cameras of a recording at once.")
@click.option("--name", "input_name", help="Name of the input.  [default: the keypoint network's name]")
@click.option("--device", default="auto", show_default=True, help="For the networks: auto, cpu, cuda or cuda:N.")
def detect(name: str, videos: Path, folder: Path | None, detector: str, keypoints: str, detector_weights: Path | None,
           keypoints_weights: Path | None, in_step: bool, input_name: str | None, device: str) -> None:  # fmt: skip
    """Find 2D keypoints in the videos of a prepared benchmark, and add them to it as an input.

    After an interruption, the same command goes on.
    """
    from vidpose.common.devices import choose_device
    from vidpose.common.errors import UsageError
    from vidpose.common.files import alone_in
    from vidpose.datasets import detecting, get_dataset
    from vidpose.datasets.store import open_store
    from vidpose.pipeline.clip_stage import find_in_step
    from vidpose.pipeline.finding import find_people
    from vidpose.pipeline.networks import open_networks

    dataset, store = get_dataset(name), open_store(name, folder)
    if not hasattr(dataset, "video_names"):
        raise UsageError(f"{name}: has no videos whose frames are those of its motion capture")
    if detector.startswith("boxes:"):
        raise UsageError(f"--detector {detector}: the boxes of one video; a benchmark has many")
    input_name = input_name or detecting.input_name(keypoints)
    with alone_in(store.folder), open_networks(
        detector, keypoints, detector_weights=detector_weights, keypoints_weights=keypoints_weights,
        device=choose_device(device),
    ) as networks:  # fmt: skip
        if in_step and not networks.clips:
            raise UsageError(f"--in-step: {keypoints} looks at every picture alone; leave it out")

        def find(paths: Sequence[Path]) -> Sequence[PoseResult]:
            if in_step:
                return find_in_step(paths, networks)
            return [find_people(path, networks=networks) for path in paths]

        detecting.detect(
            store, videos, dataset.video_names, say, find=find, in_step=in_step, layout=networks.layout,
            found_by=networks.provenance, name=input_name,
        )  # fmt: skip
    say(f"{store.folder}: has the input {input_name!r} now")


@data.command()
@click.argument("name", metavar="h36m")
@click.option("--videos", required=True, type=_FOLDER, help="Folder of its videos.")
@click.option("--data", "folder", type=_FOLDER, help="Folder of the prepared benchmark.  [default: data/NAME]")
@click.option("--out", required=True, type=_FOLDER, help="Folder to write to.")
@click.option("--subjects", default="S1,S5,S6,S7,S8", show_default=True, metavar="S1,...",
              help="Subjects whose videos to cut.")  # fmt: skip
@click.option("--frames", default=32, show_default=True, type=click.IntRange(min=1), help="Frames in a clip.")
@click.option("--every", default=2, show_default=True, type=click.IntRange(min=1), metavar="N",
              help="Use every Nth frame of the videos.")  # fmt: skip
@click.option(
    "--size",
    default=256,
    show_default=True,
    type=click.IntRange(32, 4096),
    help="Width and height of a picture, in pixels.",
)
@click.option("--overwrite", is_flag=True, help="Make all clips again.")
def clips(name: str, videos: Path, folder: Path | None, out: Path, subjects: str, frames: int, every: int, size: int,
          overwrite: bool) -> None:  # fmt: skip
    """Cut the videos of a prepared benchmark, h36m, into clips that 2D networks train on and are evaluated on.

    A clip shows one person to all cameras at the same moments, in square pictures. After an interruption, the same
    command goes on.
    """
    from dataclasses import asdict

    from vidpose.cli.progress import progress_of
    from vidpose.common.errors import UsageError
    from vidpose.common.files import alone_in
    from vidpose.datasets.h36m_videos import Cut, film, find_recordings
    from vidpose.datasets.store import open_store
    from vidpose.keypoint_data.clips import has_clip, note_clips, write_clip

    if name != "h36m":
        raise UsageError(f"{name}: only videos of h36m can be cut into clips")
    store, cut, wanted = open_store(name, folder), Cut(frames, every, size), subjects.split(",")
    recordings = find_recordings(store, videos, wanted, cut)
    numbers = [number for recording in recordings for number in recording.clips if recording.views]
    if not numbers:
        raise UsageError(f"--frames {frames} --every {every}: no recording is that long; give less")
    written = 0
    with alone_in(out), progress_of(f"clips of {name}", "clips") as progress:
        note_clips(out, {"data": name, "subjects": wanted, **asdict(cut)}, overwrite)
        missing = {number for number in numbers if not has_clip(out, number)}
        for recording in recordings:
            for number, shots in film(store, recording, missing):
                write_clip(out, number, store.layout.joints, shots, recording.facts(number))
                written += 1
                progress(written, len(missing))
    there = sum(has_clip(out, number) for number in numbers)
    say(f"{out}: {there} clips of {frames} frames, {written} of them new")
