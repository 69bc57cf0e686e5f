"""`vidpose data`: benchmarks, from the files people have to the one layout that training and evaluation share."""

from __future__ import annotations

from pathlib import Path

import rich_click as click


@click.group()
def data() -> None:
    """Prepare benchmarks, and look at what is in them."""


@data.command()
@click.argument("name")
@click.option("--source", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of its files.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write.  [default: data/NAME]")
@click.option("--overwrite", is_flag=True, help="Prepare it again, from the start.")
def prepare(name: str, source: Path, out: Path | None, overwrite: bool) -> None:
    """Read benchmark NAME (h36m, mpi-inf-3dhp, humaneva, cmu) from the files its authors give out.

    A benchmark that is prepared already is left alone; a preparation that was interrupted goes on where it was.
    """
    import shutil

    from vidpose.datasets import get_dataset
    from vidpose.datasets.store import Store, StoreWriter
    from vidpose.errors import UsageError

    dataset, out = get_dataset(name), out or Path("data") / name
    if (out / "index.json").is_file() and not overwrite:
        store = Store(out)
        if store.name != name:
            raise UsageError(f"{out}: holds {store.name}; choose another --out")
        click.echo(f"{out}: prepared already, {len(store.clips)} clips; --overwrite prepares it again")
        return
    if not source.is_dir():
        raise UsageError(f"{source}: no such folder; --source is where the benchmark's files lie")
    if overwrite:
        shutil.rmtree(out / "parts", ignore_errors=True)
        (out / "index.json").unlink(missing_ok=True)
    store = dataset.prepare(source, StoreWriter(out, name, dataset.LAYOUT), click.echo)
    click.echo(f"wrote {out}: {len(store.clips)} clips, {sum(clip.frames for clip in store.clips)} frames")


@data.command()
@click.argument("name")
@click.option("--data", "folder", type=click.Path(file_okay=False, path_type=Path), help="[default: data/NAME]")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path),
              help="PNG to draw a few of its poses to.  [default: poses.png in the folder]")  # fmt: skip
def info(name: str, folder: Path | None, picture: Path | None) -> None:
    """Say and draw what is in a prepared benchmark: counts, subjects, cameras, inputs, bones, distances, poses."""
    from vidpose.datasets.store import Store
    from vidpose.evaluation.describe import describe_store, draw_store

    store = Store(folder or Path("data") / name)
    for line in describe_store(store):
        click.echo(line)
    picture = picture or store.folder / "poses.png"
    draw_store(store, picture)
    click.echo(f"wrote {picture}")


@data.command()
@click.argument("name")
@click.option("--videos", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of its videos.")
@click.option("--data", "folder", type=click.Path(file_okay=False, path_type=Path), help="[default: data/NAME]")
@click.option("--detector", default="blazepose", show_default=True, metavar="NAME",
              help="What finds people: a network by name, as for `vidpose infer`.")  # fmt: skip
@click.option("--keypoints", default="blazepose", show_default=True, metavar="NAME", help="What finds their 2D joints.")
@click.option("--detector-weights", type=click.Path(path_type=Path), metavar="FILE",
              help="Weights of the detector, instead of those published.")  # fmt: skip
@click.option("--keypoints-weights", type=click.Path(path_type=Path), metavar="FILE",
              help="Weights of the keypoint network, instead of those published.")  # fmt: skip
@click.option("--name", "input_name", help="What to call the input.  [default: the keypoint network's name]")
@click.option("--device", default="auto", show_default=True, help="For the networks: auto, cpu, cuda or cuda:N.")
def detect(name: str, videos: Path, folder: Path | None, detector: str, keypoints: str, detector_weights: Path | None,
           keypoints_weights: Path | None, input_name: str | None, device: str) -> None:  # fmt: skip
    """Find 2D keypoints in the videos of a prepared benchmark, and add them to it as an input.

    A run that was interrupted goes on where it was.
    """
    from vidpose.datasets import get_dataset
    from vidpose.datasets.store import Store
    from vidpose.devices import choose_device
    from vidpose.errors import UsageError
    from vidpose.evaluation import detecting
    from vidpose.networks import open_networks

    dataset, store = get_dataset(name), Store(folder or Path("data") / name)
    if not hasattr(dataset, "video_names"):
        raise UsageError(f"{name}: has no videos whose frames are those of its motion capture")
    if detector.startswith("boxes:"):
        raise UsageError(f"--detector {detector}: the boxes of one video; a benchmark has many")
    input_name = input_name or detecting.input_name(keypoints)
    with open_networks(
        detector, keypoints, detector_weights=detector_weights, keypoints_weights=keypoints_weights,
        device=choose_device(device),
    ) as networks:  # fmt: skip
        detecting.detect(store, videos, dataset.video_names, click.echo, networks=networks, name=input_name)
    click.echo(f"{store.folder}: has the input {input_name!r} now")
