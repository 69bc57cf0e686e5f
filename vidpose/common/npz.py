"""Archives of arrays (.npz) from outside: nothing of one is unpacked before it is known how much there will be."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from vidpose.common.inputs import open_input, reading

_MAX_BYTES = 16 << 30
"""Of all arrays of an archive together."""

_MOST_DEFLATED = 1100
"""A byte of deflated data gives no more bytes than that."""

_KINDS = {
    "f": ("f", "floating-point numbers"),
    "i": ("iu", "whole numbers"),
    "n": ("fiu", "numbers"),
    "b": ("b", "true or false"),
    "U": ("U", "text"),
}


class NpzArrays(Mapping[str, np.ndarray]):
    """The arrays of an archive by name, each read when it is asked for.

    Raises:
        ValueError: an array is of objects, or claims another size than it has.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._entries = {
            entry.filename.removesuffix(".npy"): entry
            for entry in archive.infolist()
            if entry.filename.endswith(".npy")
        }
        if sum(entry.file_size for entry in self._entries.values()) > _MAX_BYTES:
            raise ValueError(f"its arrays claim more than {_MAX_BYTES >> 30} GiB")

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def about(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and type of an array, which is not read for that."""
        with self._open(name) as member:
            return self._claims(name, member)

    def read(self, name: str, shape: tuple[int | None, ...], kind: str) -> np.ndarray:
        """An array, once its shape and type are known to be right.

        Args:
            shape: due; None: any number along that axis.
            kind: of numbers that is due: "f" floating-point, "i" whole, "n" either, "b" true or false, "U" text.

        Raises:
            KeyError, ValueError: there is none of that name, or it is another.
        """
        found, dtype = self.about(name)
        sizes = len(found) == len(shape) and all(b in (None, a) for a, b in zip(found, shape, strict=True))
        if not sizes or dtype.kind not in _KINDS[kind][0]:
            due = " x ".join("any" if size is None else str(size) for size in shape) or "one"
            raise ValueError(f"{name} is {found} of {dtype}, where {due} of {_KINDS[kind][1]} is due")
        return self[name]

    def __getitem__(self, name: str) -> np.ndarray:
        with self._open(name) as member:
            self._claims(name, member)
            member.seek(0)
            array = np.lib.format.read_array(member, allow_pickle=False)
            member.read()  # to the end, where the checksum is compared
            return array

    def _open(self, name: str) -> IO[bytes]:
        entry = self._entries[name]
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & 1:
            raise ValueError(f"{name} is encrypted, or packed in a way that is not known")
        if entry.file_size > _MOST_DEFLATED * entry.compress_size + 1000:
            raise ValueError(f"{name} claims {entry.file_size:,} bytes in {entry.compress_size:,}")
        return self._archive.open(entry)

    def _claims(self, name: str, member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
        if np.lib.format.read_magic(member) == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(member)
        if dtype.hasobject:
            raise ValueError(f"{name} holds objects, not numbers")
        due = member.tell() + prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or due != self._entries[name].file_size:
            raise ValueError(f"{name} of shape {shape} has {self._entries[name].file_size:,} bytes, not {due:,}")
        return shape, dtype


@contextmanager
def open_npz(path: Path, what: str, advice: str = "") -> Iterator[NpzArrays]:
    """The arrays of an archive; whatever goes wrong in the block is said as `reading` has it.

    Raises:
        VidposeError: see `reading`.
    """
    with reading(path, what, advice), open_input(path) as file, zipfile.ZipFile(file) as archive:
        yield NpzArrays(archive)
