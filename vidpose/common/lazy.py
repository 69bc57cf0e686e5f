"""What is imported when it is needed, by its place in words."""

import importlib
from typing import Any


def imported(place: str) -> Any:
    """What "module:name" stands for."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
