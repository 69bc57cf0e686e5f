"""Benchmarks that come as pickles, read without running what is in them.

Authors share preprocessed benchmarks as pickled dictionaries of numpy arrays, alone or as the one object of an `.npz`
member. A pickle names the functions it wants called. Here it gets numbers, strings and containers, and for the names
that numpy writes, the stand-ins below; any other name ends the reading. numpy's own functions are not called, because
they trust what they are told about memory.
"""

from __future__ import annotations

import math
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from vidpose.common.errors import VidposeError, one_line
from vidpose.common.inputs import open_input

_ADVICE = "download it again from its authors"


def load_pickle(path: Path, advice: str = _ADVICE) -> Any:
    """What a pickle holds: numbers, strings, containers, numpy arrays and scalars.

    Args:
        advice: what the user should do about a file that cannot be read; ends the error's line.

    Raises:
        VidposeError: no such file, a damaged one, or one that asks for anything else.
    """
    with _explained(path, advice), open_input(path) as file:
        return _DataUnpickler(file).load()


def load_object_npz(path: Path, keys: Sequence[str], advice: str = _ADVICE) -> dict[str, Any]:
    """Named members of an `.npz`: arrays, and for 0-d object arrays the object itself, see `load_pickle`.

    Args:
        advice: what the user should do about a file that cannot be read; ends the error's line.

    Raises:
        VidposeError: no such file, not an `.npz`, one without such members, a damaged one, or foreign names in it.
    """
    with _explained(path, advice), open_input(path) as file, zipfile.ZipFile(file) as archive:
        present = [name.removesuffix(".npy") for name in archive.namelist()]
        for key in keys:
            if key not in present:
                raise VidposeError(f"{path}: has no {key!r}, but {', '.join(present[:5]) or 'nothing'}; {advice}")
        return {key: _member(archive, f"{key}.npy") for key in keys}


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, dtype = read_header(file)
        if dtype.hasobject:
            array = _DataUnpickler(file).load()
            return array.item() if array.ndim == 0 else array
    with archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


@contextmanager
def _explained(path: Path, advice: str) -> Iterator[None]:
    try:
        yield
    except VidposeError:
        raise
    except _ForeignError as error:
        raise VidposeError(f"{path}: holds {error}, which is no data and could run code; {advice}") from None
    except OSError as error:
        raise VidposeError(f"{path}: cannot be read ({error.strerror or error}); {advice}") from None
    except Exception as error:  # A damaged pickle can fail in any way at all.
        raise VidposeError(f"{path}: damaged, or no such archive ({one_line(error)}); {advice}") from None


class _ForeignError(pickle.UnpicklingError):
    pass


class _Dtype:
    """Stands in for a plain `numpy.dtype`: pickled as its code, then its byte order among its state."""

    def __init__(self, code: str, *_: Any):
        if not re.fullmatch(r"[biufcSUO]\d*", code):
            raise _ForeignError(f"arrays of {code!r}")
        self.plain = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.plain = self.plain.newbyteorder(state[1])


class _Array(np.ndarray):
    """An array that looks at what it is told before it believes it."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        if dtype.plain.hasobject and len(content) != math.prod(shape):
            raise ValueError(f"{len(content)} objects for an array of shape {shape}")
        super().__setstate__((1, shape, dtype.plain, fortran, content))


def _reconstruct(*_: Any) -> _Array:
    return _Array((0,), np.int8)


def _scalar(dtype: _Dtype, content: bytes) -> Any:
    return np.frombuffer(content, dtype.plain)[0]


def _from_buffer(content: bytes, dtype: _Dtype, shape: tuple[int, ...], order: Literal["C", "F", "A"]) -> np.ndarray:
    return np.frombuffer(content, dtype.plain).reshape(shape, order=order)


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _ForeignError(f"text in {encoding!r}")
    return text.encode("latin1")


_ADMITTED: Mapping[tuple[str, str], Callable[..., Any] | None] = {
    # How protocols 0 to 2 spell bytes.
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _Dtype,
    # Handed to `_reconstruct` and never called.
    ("numpy", "ndarray"): None,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        # Before numpy 2, and since.
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}


class _DataUnpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes]):
        # Python 2 wrote bytes as text; numpy takes them back from this encoding alone.
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise _ForeignError(f"{module}.{name}")
        return _ADMITTED[module, name]
