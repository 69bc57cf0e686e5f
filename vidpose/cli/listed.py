"""Options whose help lists what a table has, so that no list is written twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rich_click as click


class ListedOption(click.Option):
    """An option with `{}` in its help, where the names go.

    Args:
        listing: gives the names as text. It is called only when the help is shown, since the room that has the table
            can be slow to import.
    """

    def __init__(self, *args: Any, listing: Callable[[], str], **kwargs: Any) -> None:
        self._listing = listing
        super().__init__(*args, **kwargs)

    @property
    def help(self) -> str | None:
        return self._help and self._help.format(self._listing())

    @help.setter
    def help(self, text: str | None) -> None:
        self._help = text


def format_names() -> str:
    """The export formats, as help texts name them."""
    from vidpose.export import FORMATS

    return ", ".join(FORMATS)


def bone_schemes() -> str:
    """What bones can be called."""
    from vidpose.export import BONE_NAMES

    return ", ".join(BONE_NAMES)


def filter_names() -> str:
    """The smoothing filters with the units of their parameters."""
    from vidpose.refine.smoothing import list_filters

    return list_filters()


def mesh_format_names() -> str:
    """What `vidpose mesh` writes."""
    from vidpose.export.meshes import MESH_FORMATS

    return ", ".join(MESH_FORMATS)


def dial_names() -> str:
    """What of the shipped body a user has to say, with how far each goes."""
    from vidpose.body_models.anny_model import anny

    dials = anny().dials
    return ", ".join(f"{name} ({dial.low:g} to {dial.high:g})" for name, dial in dials.items() if not dial.fitted)
