"""Weights that others publish: what `catalogue.toml` says of them, and whether they are at hand.

    path = weights_file("hrnet-w32")

That neither fetches nor reads the file: it was fetched by `vidpose weights fetch hrnet-w32`, and its hash is checked.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from vidpose.common.errors import UsageError, VidposeError, did_you_mean
from vidpose.common.files import replacing
from vidpose.weights.downloads import Report, fetch, file_hash, has_hash, remove


@dataclass(frozen=True)
class Published:
    """Weights of others. The fields are explained at the top of `catalogue.toml`; "" or None stands for unknown."""

    name: str
    kind: str
    format: str
    licence: str
    paper: str
    url: str = ""
    page: str = ""
    sha256: str = ""
    mib: float | None = None
    arch: str = ""
    layout: str = ""
    metric: str = ""

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


def _read_catalogue() -> dict[str, Published]:
    content = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8"))
    return {name: Published(name, **fields) for name, fields in content.items()}


CATALOGUE: Mapping[str, Published] = _read_catalogue()


def weights_folder() -> Path:
    """Where fetched weights lie: `VIDPOSE_WEIGHTS`, or the cache folder that the platform has for each user."""
    chosen = os.environ.get("VIDPOSE_WEIGHTS")
    return Path(chosen) if chosen else user_cache_path("vidpose", appauthor=False) / "weights"


def published(name: str) -> Published:
    """The entry of that name.

    Raises:
        UsageError: there is none; says which is nearest.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    raise UsageError(f"unknown weights {name!r}; {did_you_mean(name, CATALOGUE)}`vidpose weights list` shows them all")


def fetch_weights(entry: Published, *, unchecked: bool = False, report: Report = lambda done, total: None) -> Path:
    """Fetch weights unless they are at hand, sound.

    Args:
        unchecked: take a file whose publisher gives no hash as it comes, or as it lies there, and note its hash, by
            which it is known from then on.

    Raises:
        UsageError: there is no address to fetch it from, or no hash and not `unchecked`.
        VidposeError: see `downloads.fetch`.
    """
    if not entry.url:
        raise _by_hand(entry)
    expected = entry.expected_sha256
    if not (expected or unchecked):
        raise UsageError(
            f"{entry.name}: its publisher gives no hash to check it by; `unchecked` takes {entry.url} as it comes, "
            f"or {entry.path} if you put it there"
        )
    fetch(entry.url, entry.path, expected, report)
    if not expected:
        with replacing(_note(entry.path)) as partial:
            # As `sha256sum --check` reads it.
            partial.write_text(f"{file_hash(entry.path)}  {entry.path.name}\n", encoding="ascii")
    return entry.path


def weights_file(name: str) -> Path:
    """A fetched file, its hash checked: for whoever wants to read weights.

    Raises:
        UsageError: there are no weights of that name, or none that vidpose can fetch.
        VidposeError: they are not at hand, or damaged; says how to get them.
    """
    entry = published(name)
    if not entry.url:
        raise _by_hand(entry)
    if entry.is_sound:
        return entry.path
    if entry.is_there and entry.expected_sha256:
        raise VidposeError(f"{entry.path}: damaged; get it again: `vidpose weights fetch {name}`")
    raise VidposeError(
        f"the weights of {name} are not at hand; get them: `vidpose weights fetch {name}`, or on a machine without "
        f"network put {entry.url} at {entry.path}"
    )


def remove_weights(entry: Published) -> bool:
    """Delete fetched weights, and what a broken transfer left; tells whether there was anything.

    Raises:
        VidposeError: they may not be deleted.
    """
    return bool(entry.url) and remove(entry.path, _note(entry.path))


def _by_hand(entry: Published) -> UsageError:
    use = (
        f"then import it as {entry.arch} with `vidpose weights import`"
        if entry.kind == "lifter"
        else f"then `vidpose infer --{entry.kind} {entry.name} --{entry.kind}-weights FILE`"
    )
    return UsageError(f"{entry.name}: vidpose cannot fetch it; download it from {entry.page}, {use}")


def _note(path: Path) -> Path:
    """Where the hash of a file is noted whose publisher gives none."""
    return path.with_name(f"{path.name}.sha256")
