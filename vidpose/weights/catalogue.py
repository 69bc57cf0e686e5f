"""What the tables of networks and weights are made of, and whether weights are at hand.

Each room declares its own beside its networks: `people/detector_table.py`, `keypoints/network_table.py`,
`lifters/lifter_table.py` and `lifters/authors_weights.py`. A table imports no network, nor what fetches its weights, so
that it is read at once.

    path = weights_file(KEYPOINTS["hrnet-w32"])

That neither fetches nor reads the file: it was fetched by `vidpose weights fetch hrnet-w32`, and its hash is checked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from platformdirs import user_cache_path

from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import replacing
from vidpose.weights.hashing import file_hash, has_hash
from vidpose.weights.shipped import ShippedWeights

if TYPE_CHECKING:
    from vidpose.weights.downloads import Report


@dataclass(frozen=True)
class Paper:
    """Where a network comes from, and what its authors report.

    Attributes:
        title, venue: of the paper.
        mpjpe: of a lifter: millimetres on Human3.6M, protocol 1, average over actions; None where there is none.
        setting: what `mpjpe` was measured with: 2D detector, T, table.
    """

    title: str
    venue: str = ""
    mpjpe: float | None = None
    setting: str = ""

    def __str__(self) -> str:
        return f"{self.title}, {self.venue}" if self.venue else self.title


@dataclass(frozen=True)
class Published:
    """A file of weights that others publish; "" or None stands for unknown.

    Attributes:
        format: "mmpose", "mmdet", "torchvision": a PyTorch checkpoint with that library's parameter names. "onnx-zip":
            an archive of mmpose's SDK, with an ONNX network in it. "authors": a PyTorch checkpoint with its authors'
            parameter names.
        url: of the file.
        page: where there is no such address: from which people download it themselves.
        sha256: or its first digits, where these are all that is published: mmpose, mmdet and torchvision put eight of
            them into a checkpoint's name. The name of an SDK archive repeats those of the checkpoint inside, so the
            archive's own are unknown.
        mib: size in MiB, where it is published.
    """

    format: Literal["mmpose", "mmdet", "torchvision", "onnx-zip", "authors"]
    url: str = ""
    page: str = ""
    sha256: str = ""
    mib: float | None = None

    @property
    def path(self) -> Path:
        """Where it lies once it is fetched."""
        return weights_folder() / self.url.rpartition("/")[2]

    @property
    def expected_sha256(self) -> str:
        """What its publisher says, or else what was noted when it was fetched; "" where neither is known."""
        try:
            return self.sha256 or _note(self.path).read_text(encoding="ascii").split()[0]
        except (OSError, ValueError, IndexError):
            return ""

    @property
    def is_there(self) -> bool:
        """Whether there is such a file; it may be damaged."""
        return bool(self.url) and self.path.is_file()

    @property
    def is_sound(self) -> bool:
        """Whether the file is there, and has the hash it should have."""
        return self.is_there and bool(self.expected_sha256) and has_hash(self.path, self.expected_sha256)


@dataclass(frozen=True)
class Entry:
    """A network that vidpose can use, or weights for one.

    Attributes:
        name: what the command line takes.
        kind: "keypoints" (2D), "detector" (of people's boxes), "lifter", or "backbone" (what a network's training
            starts from).
        network: "module:Class" of a network of ours, which a file of weights names by `name`; "" for others.
        loader: "module:function" that opens a detector or a keypoint network, called with a `Opening` and `options`;
            "" of what is not opened by its name.
        options: what the loader needs to know besides.
        arch: the network of ours that this one is a configuration of, or that the weights are of; "": none, or the
            one of this name.
        weights: ours that come with vidpose, or others' that are published; None: neither.
        takes_weights: "must": it needs a file of weights. "may": its loader knows where else they are. "never".
        layout: of the joints (`vidpose/body/skeletons.py`); "" where there are none, or a file of ours says it.
        licence: that the publisher of the weights gives; the data they were trained on may have terms of its own. Of
            ours their file says it.
        metric: as the publisher of the weights reports it: AP on COCO in percent, of keypoints or boxes; PCKh on MPII
            in percent; MPJPE in mm on Human3.6M; top-1 accuracy on ImageNet in percent.
    """

    name: str
    kind: Literal["keypoints", "detector", "lifter", "backbone"]
    paper: Paper | None = None
    network: str = ""
    loader: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    arch: str = ""
    weights: ShippedWeights | Published | None = None
    takes_weights: Literal["must", "may", "never"] = "must"
    layout: str = ""
    licence: str = ""
    metric: str = ""

    @property
    def shipped(self) -> ShippedWeights:
        """The weights of an entry whose weights come with vidpose."""
        assert isinstance(self.weights, ShippedWeights), self.name
        return self.weights


@dataclass(frozen=True)
class Opening:
    """What a loader is asked for.

    Attributes:
        entry: the network's.
        name: as it was asked for: the entry's, or with a path for FILE or a config for CONFIG.
        weights: the file to read; None only for an entry that need not have one.
        device: to run on.
        threads: of the CPU to use, where the network lets one choose; None: as many as there are.
    """

    entry: Entry
    name: str
    weights: Path | None
    device: str
    threads: int | None = None

    @property
    def file(self) -> Path:
        """The weights of a network that needs some."""
        assert self.weights is not None, self.name
        return self.weights

    @property
    def rest(self) -> str:
        """What stands for FILE or CONFIG."""
        return self.name.partition(":")[2]


E = TypeVar("E", bound=Entry)


def by_name(entries: Iterable[E]) -> dict[str, E]:
    """A table, in the order of its entries, whose names differ."""
    table: dict[str, E] = {}
    for entry in entries:
        assert entry.name not in table, entry.name
        table[entry.name] = entry
    return table


def shipped_entries(table: Mapping[str, E]) -> dict[str, E]:
    """Those of a table whose weights come with vidpose."""
    return {name: entry for name, entry in table.items() if isinstance(entry.weights, ShippedWeights)}


def classes(table: Mapping[str, Entry]) -> dict[str, str]:
    """Networks of ours in a table: "module:Class" by name, as a `Registry` takes them."""
    return {name: entry.network for name, entry in table.items() if entry.network}


def weights_folder() -> Path:
    """Where fetched weights lie: `VIDPOSE_WEIGHTS`, or the cache folder that the platform has for each user."""
    chosen = os.environ.get("VIDPOSE_WEIGHTS")
    return Path(chosen) if chosen else user_cache_path("vidpose", appauthor=False) / "weights"


def fetch_weights(entry: Entry, *, unchecked: bool = False, report: Report = lambda done, total: None) -> Path:
    """Fetch published weights unless they are at hand, sound.

    Args:
        unchecked: take a file whose publisher gives no hash as it comes, or as it lies there, and note its hash, by
            which it is known from then on.

    Raises:
        UsageError: there is no address to fetch it from, or no hash and not `unchecked`.
        VidposeError: see `downloads.fetch`.
    """
    from vidpose.weights.downloads import fetch

    file = _fetchable(entry)
    expected = file.expected_sha256
    if not (expected or unchecked):
        raise UsageError(
            f"{entry.name}: its publisher gives no hash to check it by; `unchecked` takes {file.url} as it comes, "
            f"or {file.path} if you put it there"
        )
    fetch(file.url, file.path, expected, report)
    if not expected:
        with replacing(_note(file.path)) as partial:
            # As `sha256sum --check` reads it.
            partial.write_text(f"{file_hash(file.path)}  {file.path.name}\n", encoding="ascii")
    return file.path


def weights_file(entry: Entry) -> Path:
    """The file of an entry that has weights, its hash checked: for whoever wants to read it.

    Raises:
        UsageError: vidpose cannot fetch them.
        VidposeError: they are not at hand, or damaged; says how to get them.
    """
    if isinstance(entry.weights, ShippedWeights):
        return entry.weights.checked()
    file = _fetchable(entry)
    if file.is_sound:
        return file.path
    if file.is_there and file.expected_sha256:
        raise VidposeError(f"{file.path}: damaged; get it again: `vidpose weights fetch {entry.name}`")
    raise VidposeError(
        f"the weights of {entry.name} are not at hand; get them: `vidpose weights fetch {entry.name}`, or on a machine "
        f"without network put {file.url} at {file.path}"
    )


def remove_weights(file: Published) -> bool:
    """Delete fetched weights, and what a broken transfer left; tells whether there was anything.

    Raises:
        VidposeError: they may not be deleted.
    """
    from vidpose.weights.downloads import remove

    return bool(file.url) and remove(file.path, _note(file.path))


def _fetchable(entry: Entry) -> Published:
    file = entry.weights
    assert isinstance(file, Published), entry.name
    if file.url:
        return file
    use = (
        f"then import it as {entry.arch} with `vidpose weights import`"
        if entry.kind == "lifter"
        else f"then `vidpose infer --{entry.kind} {entry.name} --{entry.kind}-weights FILE`"
    )
    raise UsageError(f"{entry.name}: vidpose cannot fetch it; download it from {file.page}, {use}")


def _note(path: Path) -> Path:
    """Where the hash of a file is noted whose publisher gives none."""
    return path.with_name(f"{path.name}.sha256")
