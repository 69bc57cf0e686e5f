"""Where the files that come with vidpose lie: beside the package in a source tree, inside it in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def shipped(kind: str) -> Path:
    """The folder of the shipped `weights`, `samples` or `recipes`."""
    installed = _PACKAGE / "_shipped" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind
