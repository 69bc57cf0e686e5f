"""`vidpose weights`: which there are, fetching and checking them, and authors' checkpoints into ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vidpose.cli.progress import progress_of
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import check_free
from vidpose.common.settings import apply_settings

if TYPE_CHECKING:
    from vidpose.weights.catalogue import Published
    from vidpose.weights.downloads import Report
    from vidpose.weights.shipped import ShippedWeights

_MIB = 1 << 20


@click.group()
def weights() -> None:
    """Weights of lifters, 2D keypoint networks, person detectors and backbones: fetch, check and convert them."""


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the weights that come with vidpose, and those from others that it can fetch."""
    from vidpose.lifters.zoo import shipped_lifters
    from vidpose.weights.catalogue import CATALOGUE, weights_folder

    if as_json:
        lifters = {own.name: asdict(own) for own in shipped_lifters()}
        listed = [
            {"name": name, "kind": kind, "at_hand": True} | asdict(entry) | lifters.get(name, {})
            for name, (kind, entry) in _ours().items()
        ]
        listed += [asdict(entry) | {"at_hand": entry.is_there} for entry in CATALOGUE.values()]
        click.echo(json.dumps(listed, indent=2))
        return

    from rich.table import Table

    from vidpose.cli.console import table_console

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("weights", "kind", "joints", "error or score", "MiB", "licence", "at hand"):
        table.add_column(heading, justify="right" if heading == "MiB" else "left", no_wrap=True)
    lifters = {own.name: own for own in shipped_lifters()}
    for name, (kind, entry) in _ours().items():
        own = lifters.get(name)
        error = f"{own.mpjpe:.1f} / {own.p_mpjpe:.1f} mm" if own and own.mpjpe else ""
        size = f"{entry.path.stat().st_size / _MIB:.0f}"
        licence = own.licence if own else ""
        table.add_row(name, kind, own.layout if own else "", error, size, licence, "comes with vidpose")
    for entry in CATALOGUE.values():
        size = f"{entry.mib:.0f}" if entry.mib else ""
        table.add_row(entry.name, entry.kind, entry.layout, entry.metric, size, entry.licence, _availability(entry))
    table_console().print(table)
    click.echo(
        f"\nFetched weights lie in {weights_folder()}; VIDPOSE_WEIGHTS chooses another folder.\nErrors of "
        "what comes with vidpose: MPJPE / P-MPJPE on held-out motion capture, as `vidpose models` has them; others' as "
        "they publish them.\nThe licence is their "
        "publisher's; the data they were trained on may have terms of its own. More: vidpose weights info NAME"
    )


def _ours() -> dict[str, tuple[str, ShippedWeights]]:
    """Kind and file of the weights that come with vidpose, by name."""
    from vidpose.lifters.zoo import ZOO
    from vidpose.pipeline.networks import SHIPPED

    lifters = {name: ("lifter", entry) for name, entry in ZOO.items()}
    return lifters | {name: ("keypoints", entry) for name, entry in SHIPPED.items()}


def _availability(entry: Published) -> str:
    if entry.is_there:
        return "yes"
    if not entry.url:
        return "by hand"
    return "to fetch" if entry.sha256 else "to fetch, --unchecked"


@weights.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--unchecked", is_flag=True, help="Also take a file whose publisher gives no hash.")
def fetch(names: tuple[str, ...], unchecked: bool) -> None:
    """Fetch weights, and check their hash. A download that broke off continues where it stopped."""
    from vidpose.weights.catalogue import fetch_weights

    for entry in [_published(name) for name in names]:
        if entry.is_sound:
            click.echo(f"{entry.name}: there already, {entry.path}")
            continue
        with progress_of(f"fetch {entry.name}", "MiB") as report:
            path = fetch_weights(entry, unchecked=unchecked, report=_in_mib(report))
        checked = "its hash is right" if entry.sha256 else f"not checked, sha256 {entry.expected_sha256} noted"
        click.echo(f"wrote {path}: {checked}")


def _in_mib(report: Report) -> Report:
    return lambda done, total: report(done // _MIB, total and -(-total // _MIB))


@weights.command()
def verify() -> None:
    """Check the hash of all weights that are at hand. Their contents are not loaded."""
    damaged = []
    for name, path, state in _checked():
        click.echo(f"{state:8} {name}  {path}")
        if state == "damaged":
            damaged.append(name)
    if damaged:
        raise VidposeError(
            f"damaged: {', '.join(damaged)}; `vidpose weights fetch NAME` replaces those of others, and installing "
            "vidpose again its own"
        )


def _checked() -> Iterator[tuple[str, Path, str]]:
    """Name, path, and "ok", "damaged" or "no hash", of all weights at hand."""
    from vidpose.weights.catalogue import CATALOGUE
    from vidpose.weights.downloads import has_hash

    for name, (_, ours) in _ours().items():
        yield name, ours.path, "ok" if has_hash(ours.path, ours.sha256) else "damaged"
    for name, entry in CATALOGUE.items():
        if entry.is_there:
            damaged = "damaged" if entry.expected_sha256 else "no hash"
            yield name, entry.path, "ok" if entry.is_sound else damaged


@weights.command()
@click.argument("name_or_file", metavar="NAME|FILE")
def info(name_or_file: str) -> None:
    """Describe weights: what their publisher says of them, or the header of a vidpose file."""
    from vidpose.weights.catalogue import CATALOGUE, published

    ours = _ours().get(name_or_file)
    if name_or_file in CATALOGUE or not (ours or Path(name_or_file).exists()):
        entry = published(name_or_file)
        facts = asdict(entry) | {"file": str(entry.path) if entry.url else "", "at hand": _availability(entry)}
    else:
        facts = _facts(ours[1].checked() if ours else Path(name_or_file))
    for key, fact in facts.items():
        if fact not in ("", None):
            click.echo(f"{key:15} {fact if isinstance(fact, str) else json.dumps(fact)}")


def _facts(path: Path) -> dict[str, Any]:
    """The header of weights of ours, how many parameters they are, and the file's hash.

    Raises:
        VidposeError: the file is not what it should be; or its kind is unknown.
    """
    from vidpose.keypoints import trained_networks as keypoint_weights
    from vidpose.keypoints.clips import clip_weights
    from vidpose.lifters import zoo
    from vidpose.weights.downloads import file_hash
    from vidpose.weights.weights_file import read_header

    about = read_header(path)
    kind, arch = about.get("format"), about.get("arch")
    if kind == zoo.KIND:
        network = zoo.load_lifter(path)
    elif kind == keypoint_weights.KIND:
        network = keypoint_weights.read_network(path, arch).network
    elif kind == clip_weights.KIND:
        network, _ = clip_weights.read_clip_network(path, arch)
    else:
        raise VidposeError(f"{path}: its header is of a {kind}, which this vidpose does not know; upgrade vidpose")
    return {**about, "parameters": f"{sum(p.numel() for p in network.parameters()):,}", "sha256": file_hash(path)}


@weights.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove(names: tuple[str, ...]) -> None:
    """Delete fetched weights."""
    from vidpose.weights.catalogue import remove_weights

    for entry in [_published(name) for name in names]:
        click.echo(f"{entry.name}: {'removed' if remove_weights(entry) else 'was not there'}")


def _published(name: str) -> Published:
    """An entry of the catalogue, by name.

    Raises:
        UsageError: there is none; or they come with vidpose.
    """
    from vidpose.weights.catalogue import published

    if name in _ours():
        raise UsageError(f"{name}: comes with vidpose, so there is nothing to fetch or remove")
    return published(name)


@weights.command("import")
@click.argument("checkpoint", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--arch", required=True, metavar="NAME", help="Which lifter it is; `vidpose models` lists them.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting that the shapes of the tensors do not tell.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def import_(checkpoint: Path, arch: str, out: Path, settings: tuple[str, ...], overwrite: bool) -> None:
    """Convert CHECKPOINT, a file from the authors of a lifter, to .safetensors. No code in it is run."""
    from vidpose.lifters.importing import import_lifter
    from vidpose.lifters.zoo import save_lifter

    def tell(assumed: dict[str, Any]) -> None:
        listed = ", ".join(f"{key}={value}" for key, value in assumed.items() if value != "")
        click.echo(f"as in the paper, since the tensors' shapes do not tell: {listed} (--set KEY=VALUE for others)")

    if not overwrite:
        check_free([out])
    lifter = import_lifter(checkpoint, arch, apply_settings({}, settings), report=tell)
    save_lifter(lifter, out, {"source": checkpoint.name})
    click.echo(f"wrote {out}: {arch}, {sum(p.numel() for p in lifter.parameters()):,} parameters")
