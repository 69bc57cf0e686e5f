"""Settings: their text form `key=value`, as the command line takes them, and the types that say which values can be."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta

from vidpose.common.errors import UsageError
from vidpose.common.inputs import short

Count = Annotated[int, Meta(ge=1, le=16384)]
"""How many, or how wide."""

Counts = Annotated[tuple[Count, ...], Meta(min_length=1, max_length=16)]

Depth = Annotated[int, Meta(ge=1, le=256)]
"""How many layers, one after another."""

Depths = Annotated[tuple[Depth, ...], Meta(min_length=1, max_length=16)]

Probability = Annotated[float, Meta(ge=0, lt=1)]

Share = Annotated[float, Meta(gt=0, le=1)]

Chance = Annotated[float, Meta(ge=0, le=1)]
"""A probability that may be 1."""

Amount = Annotated[float, Meta(ge=0, le=1000)]
"""Of something that may be left out by 0."""

Angle = Annotated[float, Meta(ge=-180, le=180)]

Ratio = Annotated[float, Meta(gt=0, le=1000)]


def apply_settings(values: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """`values` with `key=value` (or `table.key=value`) settings put over them.

    A value is as TOML has it; a bare word or path is a string, and so is nothing at all.

    Raises:
        UsageError: a setting is not of that form.
    """
    values = dict(values)
    for setting in settings:
        try:
            # What TOML takes as it stands are numbers, switches, lists and quoted strings.
            override = tomllib.loads(
                re.sub(r"=\s*((?!(?:true|false|inf|nan)$)(?:[a-zA-Z/.][\w./-]*)?)$", r'="\1"', setting)
            )
        except (ValueError, RecursionError):
            raise UsageError(f"`set={short(setting)}`: not TOML; write key=value") from None
        for key, value in override.items():
            old = values.get(key)
            values[key] = old | value if isinstance(value, dict) and isinstance(old, dict) else value
    return values


def with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with lists made tuples, which JSON and TOML do not know and frozen dataclasses hold."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
