"""The option `--set KEY=VALUE` that several commands have."""

from __future__ import annotations

import tomllib
from typing import Any

from vidpose.errors import UsageError


def apply_settings(values: dict[str, Any], settings: tuple[str, ...]) -> dict[str, Any]:
    """`values` with `key=value` (or `table.key=value`) settings put over them, whose values are as TOML has them.

    Raises:
        UsageError: a setting is not of that form.
    """
    values = dict(values)
    for setting in settings:
        try:
            override = tomllib.loads(setting)
        except tomllib.TOMLDecodeError:
            raise UsageError(f"--set {setting}: not TOML; write key=value, strings in quotes") from None
        for key, value in override.items():
            values[key] = values.get(key, {}) | value if isinstance(value, dict) else value
    return values
