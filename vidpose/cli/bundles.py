"""Options that belong together, handed to a command as one value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from fractions import Fraction
from functools import wraps
from typing import Any

import rich_click as click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Number(click.FloatRange):
    """A number, with limits or without; one that is none (nan, inf) lies within no limits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class Rate(click.ParamType):
    """A number, or two with a / between: 29.97 is not quite 30000/1001."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        ratio = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", str(value))
        if ratio and int(ratio[2]):
            return Fraction(int(ratio[1]), int(ratio[2]))
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor a fraction, as in 25 or 30000/1001", param, ctx)


def option(kind: type, *names: str, **attributes: Any) -> Decorator:
    """A click option for a field of a dataclass, whose default is the option's.

    Args:
        kind: the dataclass.
        names: as click takes them; the field is the one without dashes, else the first without its dashes.
        attributes: as click takes them; a `default` of its own goes before the field's.
    """
    field_name = next((name for name in names if not name.startswith("-")), None)
    field_name = field_name or names[0].split("/")[0].lstrip("-").replace("-", "_")
    attributes.setdefault("default", _default(next(field for field in fields(kind) if field.name == field_name)))
    attributes.setdefault("show_default", attributes["default"] is not None and attributes["default"] is not False)
    return click.option(*names, **attributes)


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def bundled(kind: type, *options: Decorator) -> Decorator:
    """A decorator that gives a command these options, and their values as one `kind`.

    Args:
        kind: a dataclass with a field for each option. The command's parameter is its name in lower case.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def call(**values: Any) -> Any:
            names = [field.name for field in fields(kind) if field.name in values]
            bundle = kind(**{name: values.pop(name) for name in names})
            return command(**{kind.__name__.lower(): bundle}, **values)

        decorated: Callable[..., Any] = call
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate
