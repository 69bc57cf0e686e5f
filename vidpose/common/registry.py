"""Networks by name: registered once, they are known to the command line, the weights' files and the shared tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Generic, TypeVar

from vidpose.common.errors import UsageError
from vidpose.common.settings import with_tuples

T = TypeVar("T")


class Registry(Generic[T]):
    """Classes by name. Each has a frozen dataclass `Config`, and takes one.

    Args:
        kind: what errors call one of them: "lifter", say.
    """

    def __init__(self, kind: str):
        self._kind = kind
        self._classes: dict[str, type[T]] = {}

    def register(self, name: str, paper: Any) -> Callable[[type[T]], type[T]]:
        """Make a class known by `name` everywhere; it keeps name and paper as attributes."""

        def add(registered: type[T]) -> type[T]:
            assert name not in self._classes, name
            registered.name, registered.paper = name, paper
            self._classes[name] = registered
            return registered

        return add

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._classes)

    def find(self, name: str) -> type[T]:
        """Raises UsageError where nothing has that name."""
        if name not in self._classes:
            raise UsageError(f"unknown {self._kind} {name!r}; known are {', '.join(self.names())}")
        return self._classes[name]

    def create(self, name: str, **config: Any) -> T:
        """A network with fresh weights.

        Args:
            name: a registered name.
            config: fields of its `Config` that shall differ from the default.

        Raises:
            UsageError: nothing has that name, its config no such field, or a value is impossible.
        """
        found = self.find(name)
        if unknown := set(config) - set(asdict(found.Config())):
            raise UsageError(f"{self._kind} {name!r} has no setting {', '.join(sorted(unknown))}")
        return found(found.Config(**with_tuples(config)))


def count_blocks(tensors: Mapping[str, Any], prefix: str) -> int:
    """How many numbered modules `prefix`.0, `prefix`.1, ... a state has."""
    return len({key[len(prefix) + 1 :].split(".")[0] for key in tensors if key.startswith(prefix + ".")})
