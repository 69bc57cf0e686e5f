"""Networks by name: those of a table are known to the command line, the weights' files and the shared tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from vidpose.common.errors import UsageError, VidposeError, one_line
from vidpose.common.inputs import convert, short
from vidpose.common.lazy import imported
from vidpose.common.settings import with_tuples

T = TypeVar("T", bound=nn.Module)

_MAX_NUMBERS = 10**10
"""Of a network; twice those of the largest that a paper has."""


class Registry(Generic[T]):
    """Classes by name, imported when they are asked for.

    Each has a `name`, and a frozen dataclass `Config` whose types say which settings can be, and takes one.

    Args:
        kind: what errors call one of them: "lifter", say.
        classes: "module:Class" of each by name.
    """

    def __init__(self, kind: str, classes: Mapping[str, str]):
        self.kind = kind
        self._classes = classes

    @property
    def format(self) -> str:
        """What the header of a file of weights calls one of them."""
        return f"vidpose-{self.kind.replace(' ', '-')}"

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._classes)

    def find(self, name: str) -> type[T]:
        """Raises UsageError where nothing has that name."""
        if name not in self._classes:
            raise UsageError(f"unknown {self.kind} {name!r}; known are {', '.join(self.names())}")
        return imported(self._classes[name])

    def create(self, name: str, **config: Any) -> T:
        """A network with fresh weights.

        Args:
            name: a known name.
            config: fields of its `Config` that shall differ from the default.

        Raises:
            UsageError: nothing has that name, its config no such field, or a value is impossible.
            VidposeError: it does not fit into memory.
        """
        config = self._config(name, config)
        self._trial(name, config)
        try:
            return self.find(name)(config)
        except RuntimeError as error:  # settings that can be, and yet there is no room
            raise VidposeError(f"{self.kind} {name!r}: it cannot be made ({one_line(error)})") from None

    def restore(self, name: str, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> T:
        """A network with these weights, in eval mode. It is made once it is known that they fit.

        Raises:
            UsageError: as of `create`.
            ValueError: the tensors are not those of such a network, or not all finite; says which.
        """
        made = self._config(name, config)
        check_tensors(tensors, self._trial(name, made).state_dict())
        network = self.find(name)(made)
        network.load_state_dict(tensors)
        return network.eval()

    def _config(self, name: str, values: Mapping[str, Any]) -> Any:
        kind = _config_of(self.find(name))
        if unknown := set(values) - {field.name for field in fields(kind)}:
            raise UsageError(f"{self.kind} {name!r} has no setting {', '.join(sorted(map(str, unknown)))}")
        try:
            return convert(with_tuples(values), kind)
        except ValueError as error:
            raise UsageError(f"{self.kind} {name!r}: {error}") from None

    def _trial(self, name: str, config: Any) -> T:
        """A network without memory, which tells whether there can be one of these settings, and of what size."""
        usual = _config_of(self.find(name))()
        try:
            with torch.device("meta"):
                trial = self.find(name)(config)
        except VidposeError:
            raise
        # Sizes that do not go together show themselves anywhere.
        except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
            given = ", ".join(f"{key}={value}" for key, value in asdict(config).items() if value != getattr(usual, key))
            raise UsageError(
                f"{self.kind} {name!r} with {given}: no network is like that ({one_line(error)})"
            ) from error
        size = sum(tensor.numel() for tensor in trial.state_dict().values())
        if size > _MAX_NUMBERS:
            raise UsageError(f"{self.kind} {name!r}: these settings make {size:,} parameters; give smaller ones")
        return trial


def _config_of(found: Any) -> type:
    return found.Config


def check_tensors(tensors: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """See that tensors are those of a network, by name, shape and kind of numbers, and finite.

    Raises:
        ValueError: they are not; names one.
    """
    if not isinstance(tensors, Mapping):
        raise ValueError(f"{short(tensors)}, where tensors by their names are due")
    if missing := sorted(expected.keys() - set(tensors)):
        raise ValueError(f"{missing[0]} is missing, one of {len(missing)}")
    for name, tensor in tensors.items():
        if name not in expected or not isinstance(tensor, torch.Tensor):
            raise ValueError(f"{short(name)} is not one of its tensors")
        due = expected[name]
        if tensor.shape != due.shape or tensor.is_floating_point() != due.is_floating_point():
            raise ValueError(
                f"{name} is {tuple(tensor.shape)} of {tensor.dtype}, where {tuple(due.shape)} of {due.dtype} is due"
            )
        if not tensor.isfinite().all():
            raise ValueError(f"{name} has numbers that are not finite")


def count_blocks(tensors: Mapping[str, Any], prefix: str) -> int:
    """How many numbered modules `prefix`.0, `prefix`.1, ... a state has."""
    return len({key[len(prefix) + 1 :].split(".")[0] for key in tensors if key.startswith(prefix + ".")})
