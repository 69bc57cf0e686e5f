"""Errors and warnings in the words of the command line.

Below `cli/` nobody knows of flags: a message names a parameter as Python does, with its value where that matters,
`fov=200`. Here it becomes the option of the command that runs, --fov 200.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import click

from vidpose.cli.terminal import printable

_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")


def spelled(message: str, command: click.Command | None = None) -> str:
    """A message with each parameter of a command written as its option; None: of the command that runs."""
    context = click.get_current_context(silent=True)
    command = command or (context.command if context else None)
    # Of two options for one parameter, the first is named after it.
    flags = dict(reversed([*_flags(command)])) if command else {}

    def option(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in flags:
            return match[0] if value is None else f"{name} {value}"
        return flags[name] if value is None else f"{flags[name]} {value}"

    return _PARAMETER.sub(option, message)


def _flags(command: click.Command) -> Iterator[tuple[str, str]]:
    """Options of a command and of those below it, by parameter and by the option's own words."""
    if isinstance(command, click.Group):
        for name in command.commands:
            yield from _flags(command.commands[name])
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            for flag in (*parameter.opts, *parameter.secondary_opts):
                yield flag.lstrip("-").replace("-", "_"), flag
            yield parameter.name or "", parameter.opts[0]


class SpelledFormatter(logging.Formatter):
    """Formats warnings in the words of the command line, each on a line."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(spelled(super().format(record)))
