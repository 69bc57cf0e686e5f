"""Settings from text: the form `key=value`, as the command line takes them, and what JSON and TOML make of values."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from vidpose.common.errors import UsageError


def apply_settings(values: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """`values` with `key=value` (or `table.key=value`) settings put over them.

    A value is as TOML has it; a bare word or path is a string.

    Raises:
        UsageError: a setting is not of that form.
    """
    values = dict(values)
    for setting in settings:
        try:
            # What TOML takes as it stands are numbers, switches, lists and quoted strings.
            override = tomllib.loads(re.sub(r"=\s*((?!(?:true|false|inf|nan)$)[a-zA-Z/.][\w./-]*)$", r'="\1"', setting))
        except tomllib.TOMLDecodeError:
            raise UsageError(f"`set={setting}`: not TOML; write key=value") from None
        for key, value in override.items():
            values[key] = values.get(key, {}) | value if isinstance(value, dict) else value
    return values


def with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with lists made tuples, which JSON and TOML do not know and frozen dataclasses hold."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
