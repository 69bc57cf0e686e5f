"""`vidpose weights`: which there are, fetching and checking them, and authors' checkpoints into ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vidpose.cli.progress import progress_of
from vidpose.cli.terminal import printable, say
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import check_outputs, check_suffix, to_json
from vidpose.common.settings import apply_settings

if TYPE_CHECKING:
    from vidpose.weights.catalogue import Entry, Published
    from vidpose.weights.downloads import Report

_MIB = 1 << 20


@click.group()
def weights() -> None:
    """Weights of lifters, 2D keypoint networks, person detectors and backbones: fetch, check and convert them."""


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the weights that come with vidpose, and those from others that it can fetch."""
    from vidpose.pipeline.table import WEIGHTS
    from vidpose.weights.catalogue import weights_folder
    from vidpose.weights.facts import facts_of

    if as_json:
        click.echo(to_json([_listed(entry) for entry in WEIGHTS.values()], indent=2))
        return

    from rich.table import Table

    from vidpose.cli.console import table_console

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("weights", "kind", "joints", "error or score", "MiB", "licence", "at hand"):
        table.add_column(heading, justify="right" if heading == "MiB" else "left", no_wrap=True)
    for entry in WEIGHTS.values():
        facts = facts_of(entry)
        size = f"{facts.mib:.1f}" if facts.mib else ""
        table.add_row(entry.name, entry.kind, facts.layout, facts.metric, size, facts.licence, _availability(entry))
    table_console().print(table)
    click.echo(
        f"\nFetched weights lie in {printable(str(weights_folder()))}; VIDPOSE_WEIGHTS chooses another folder.\n"
        "Errors of lifters that come with vidpose: MPJPE / P-MPJPE on held-out motion capture, as `vidpose models` has "
        "them;\nothers' as their publishers report them. The licence is the publisher's; the data they were trained on "
        "may have terms of its own.\nMore: vidpose weights info NAME"
    )


def _listed(entry: Entry) -> dict[str, Any]:
    """What is known of weights, for JSON."""
    from vidpose.weights.catalogue import Published
    from vidpose.weights.facts import facts_of

    theirs = asdict(entry.weights) if entry.weights else {}
    paper = str(entry.paper) if entry.paper else ""
    is_there = entry.weights.is_there if isinstance(entry.weights, Published) else True
    facts = asdict(facts_of(entry))
    named = {"name": entry.name, "kind": entry.kind, "paper": paper, "arch": entry.arch}
    return named | theirs | facts | {"at_hand": is_there}


def _availability(entry: Entry) -> str:
    from vidpose.weights.catalogue import Published

    file = entry.weights
    if not isinstance(file, Published):
        return "comes with vidpose"
    if file.is_there:
        return "yes"
    if not file.url:
        return "by hand"
    return "to fetch" if file.sha256 else "fetch --unchecked"


@weights.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--unchecked", is_flag=True, help="Also take a file whose publisher gives no hash.")
def fetch(names: tuple[str, ...], unchecked: bool) -> None:
    """Fetch weights, and check their hash. A download that broke off continues where it stopped."""
    from vidpose.weights.catalogue import fetch_weights

    for entry, file in [_published(name) for name in names]:
        if file.is_sound:
            say(f"{entry.name}: there already, {file.path}")
            continue
        with progress_of(f"fetch {entry.name}", "MiB") as report:
            path = fetch_weights(entry, unchecked=unchecked, report=_in_mib(report))
        checked = "its hash is right" if file.sha256 else f"not checked, sha256 {file.expected_sha256} noted"
        say(f"wrote {path}: {checked}")


def _in_mib(report: Report) -> Report:
    return lambda done, total: report(done // _MIB, total and -(-total // _MIB))


@weights.command()
def verify() -> None:
    """Check the hash of all weights that are at hand. Their contents are not loaded."""
    damaged = []
    for name, path, state in _checked():
        say(f"{state:8} {name}  {path}")
        if state == "damaged":
            damaged.append(name)
    if damaged:
        raise VidposeError(
            f"damaged: {', '.join(damaged)}; `vidpose weights fetch NAME` replaces those of others, and installing "
            "vidpose again its own"
        )


def _checked() -> Iterator[tuple[str, Path, str]]:
    """Name, path, and "ok", "damaged" or "no hash", of all weights at hand."""
    from vidpose.pipeline.table import WEIGHTS
    from vidpose.weights.hashing import has_hash
    from vidpose.weights.shipped import ShippedWeights

    for name, entry in WEIGHTS.items():
        file = entry.weights
        if isinstance(file, ShippedWeights):
            for part in (file, file.graph):
                if part:
                    yield name, part.path, "ok" if has_hash(part.path, part.sha256) else "damaged"
        elif file and file.is_there:
            damaged = "damaged" if file.expected_sha256 else "no hash"
            yield name, file.path, "ok" if file.is_sound else damaged


@weights.command()
@click.argument("name_or_file", metavar="NAME|FILE")
def info(name_or_file: str) -> None:
    """Describe weights: what their publisher says of them, or the header of a vidpose file."""
    from vidpose.pipeline.table import WEIGHTS, find_weights
    from vidpose.weights.shipped import ShippedWeights

    is_file = name_or_file not in WEIGHTS and Path(name_or_file).exists()
    entry = None if is_file else find_weights(name_or_file)
    if entry is None:
        told = _facts(Path(name_or_file))
    elif isinstance(entry.weights, ShippedWeights):
        told = _facts(entry.weights.checked())
    else:
        path = str(entry.weights.path) if entry.weights and entry.weights.url else ""
        told = _listed(entry) | {"file": path, "at hand": _availability(entry)}
        del told["at_hand"]
    for key, fact in told.items():
        if fact not in ("", None):
            say(f"{key:15} {fact if isinstance(fact, str) else to_json(fact)}")


def _facts(path: Path) -> dict[str, Any]:
    """The header of weights of ours, how many parameters they are, and the file's hash.

    Raises:
        VidposeError: the file is not what it should be; or its kind is unknown.
    """
    from vidpose.keypoints.clips.clip_network import CLIP_CLASSES
    from vidpose.keypoints.keypoint_network import KEYPOINT_CLASSES
    from vidpose.lifters.lifter import LIFTER_CLASSES
    from vidpose.runtimes import embedded
    from vidpose.weights.hashing import file_hash
    from vidpose.weights.header import count_parameters, read_header
    from vidpose.weights.weights_file import read_network

    if (about := read_header(path)).get("format") == embedded.KIND:
        parameters = count_parameters(path)
    else:
        network, about = read_network(path, LIFTER_CLASSES, KEYPOINT_CLASSES, CLIP_CLASSES)
        parameters = sum(p.numel() for p in network.parameters())
    return {**about, "parameters": f"{parameters:,}", "sha256": file_hash(path)}


@weights.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove(names: tuple[str, ...]) -> None:
    """Delete fetched weights."""
    from vidpose.weights.catalogue import remove_weights

    for entry, file in [_published(name) for name in names]:
        say(f"{entry.name}: {'removed' if remove_weights(file) else 'was not there'}")


def _published(name: str) -> tuple[Entry, Published]:
    """An entry whose weights others publish, by name; and these.

    Raises:
        UsageError: there is none; or they come with vidpose.
    """
    from vidpose.pipeline.table import find_weights
    from vidpose.weights.catalogue import Published

    entry = find_weights(name)
    if not isinstance(entry.weights, Published):
        raise UsageError(f"{name}: comes with vidpose, so there is nothing to fetch or remove")
    return entry, entry.weights


@weights.command("import")
@click.argument("checkpoint", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--arch", required=True, metavar="NAME", help="Which lifter it is, as `vidpose models` lists them, or pose-refiner."
)
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting that the shapes of the tensors do not tell.",
)
@click.option(
    "--prefer", type=click.Choice(["plain", "ema"]), default="plain", show_default=True,
    help="The weights themselves, or their moving averages, where a checkpoint has both.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def import_(checkpoint: Path, arch: str, out: Path, settings: tuple[str, ...], prefer: str, overwrite: bool) -> None:
    """Convert CHECKPOINT, a file from the authors of a lifter, to .safetensors. No code in it is run."""
    from vidpose.lifters import pose_refiner
    from vidpose.lifters.importing import import_lifter
    from vidpose.lifters.zoo import save_lifter

    def tell(assumed: dict[str, Any]) -> None:
        listed = ", ".join(f"{key}={value}" for key, value in assumed.items() if value != "")
        say(f"as in the paper, since the tensors' shapes do not tell: {listed} (--set KEY=VALUE for others)")

    check_suffix(out, "weights", [".safetensors"])
    check_outputs([out], overwrite, inputs=[checkpoint])
    if arch == pose_refiner.ARCH:
        if settings:
            raise UsageError(f"--set {settings[0]}: shapes tell all of a {arch}; leave it out")
        refiner = pose_refiner.import_refiner(checkpoint)
        pose_refiner.save_refiner(refiner, out, {"source": checkpoint.name})
        say(f"wrote {out}: {arch} of {refiner.joints} joints; `vidpose eval --refine` takes it")
        return
    options = apply_settings({}, settings)
    lifter = import_lifter(checkpoint, arch, options, prefer=prefer, report=tell, tell=say)
    save_lifter(lifter, out, {"source": checkpoint.name})
    say(f"wrote {out}: {arch}, {sum(p.numel() for p in lifter.parameters()):,} parameters")
