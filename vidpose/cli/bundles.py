"""Options that belong together, handed to a command as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def bundled(kind: type, *options: Decorator) -> Decorator:
    """A decorator that gives a command these options, and their values as one `kind`.

    Args:
        kind: a dataclass with a field for each option. The command's parameter is its name in lower case.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def call(**values: Any) -> Any:
            bundle = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            return command(**{kind.__name__.lower(): bundle}, **values)

        for option in reversed(options):
            call = option(call)
        return call

    return decorate
