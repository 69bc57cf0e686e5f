"""Writing files so that nothing half-written is ever found under its final name, and nothing that was done is lost."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from vidpose.common.errors import UsageError, VidposeError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be renamed either
    fcntl = None

_PARTIAL = ".vidpose-"
_LONGEST_SUFFIX = 20
_swept: set[Path] = set()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to, and rename it into place when the block ends well.

    The folder is made if it is not there, and does not stay where nothing comes into it. The partial file has a short
    name of its own that nobody can have taken, and keeps the suffix of its target, for writers that choose a format by
    it. It is removed when the block raises, Ctrl-C included; one that a killed program left is removed by the next that
    writes to the folder.

    Raises:
        VidposeError: the file cannot be written there; says why.
    """
    try:
        _check_name(path)
        with _in_a_folder(path.parent):
            _sweep(path.parent)
            partial, opened = _partial_beside(path), None
            try:  # the name is known before the file is there, so that Ctrl-C in between leaves nothing
                while True:
                    with suppress(FileExistsError):
                        opened = _create(partial)
                        break
                    partial = _partial_beside(path)
                yield partial
                os.replace(partial, path)
            finally:
                with suppress(OSError):
                    partial.unlink(missing_ok=True)
                if opened is not None:
                    os.close(opened)
    except OSError as error:
        raise VidposeError(f"{path}: cannot write ({describe(error)})") from error


@contextmanager
def _in_a_folder(folder: Path) -> Iterator[None]:
    """A folder for the block; one that it is made for is removed where the block raises and leaves it empty."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise


def _partial_beside(path: Path) -> Path:
    """A name that nobody has or can guess."""
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    return path.with_name(f"{_PARTIAL}{secrets.token_hex(6)}.partial{suffix}")


def _create(partial: Path) -> int | None:
    """Make an empty file; gives its locked descriptor where a lock can tell others that it is in use.

    Raises:
        FileExistsError: the name is taken after all, or the file was swept away before it was locked.
    """
    opened = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    if fcntl is None:
        os.close(opened)
        return None
    with suppress(OSError):  # a file system without locks: such files are left to people
        fcntl.flock(opened, fcntl.LOCK_EX)
    if os.fstat(opened).st_nlink:
        return opened
    os.close(opened)
    raise FileExistsError(partial)


def _sweep(folder: Path) -> None:
    """Remove partial files of programs that are no more, once a program for each folder."""
    if folder in _swept or fcntl is None:
        return
    _swept.add(folder)
    for left in folder.glob(f"{_PARTIAL}*.partial*"):
        with suppress(OSError):
            opened = os.open(left, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
            finally:
                os.close(opened)


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays to a compressed `.npz`.

    Raises:
        VidposeError: the file cannot be written there; says why.
    """
    # Into an open file: of one that `zipfile` opens itself it complains twice when the disk is full.
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def write_json(path: Path, content: Any, indent: int = 2) -> None:
    """Write JSON as `to_json` has it.

    Raises:
        VidposeError: the file cannot be written there; says why.
    """
    with replacing(path) as partial:
        partial.write_text(to_json(content, indent=indent), encoding="utf-8")


def to_json(content: Any, **form: Any) -> str:
    """JSON as its standard has it: a number that is none is null.

    Args:
        form: as of `json.dumps`.
    """
    return json.dumps(_with_nulls(content), allow_nan=False, **form)


def _with_nulls(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _with_nulls(value) for key, value in content.items()}
    return [_with_nulls(value) for value in content] if isinstance(content, list | tuple) else content


def check_outputs(paths: Iterable[Path], overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """See, before the work, that files can be written: that their names can be, and their folders be made.

    Args:
        overwrite: they may be there already.
        inputs: as of `spare_inputs`.

    Raises:
        VidposeError: one cannot be; says why.
    """
    paths = list(paths)
    spare_inputs(paths, inputs)
    for path in paths:
        try:
            _check_name(path)
            is_there = os.path.lexists(path)
        except OSError as error:
            raise VidposeError(f"{path}: cannot write ({describe(error)})") from None
        if is_there and not overwrite:
            raise VidposeError(f"{path}: exists already; give `overwrite`, or another `out`")
        if path.is_dir() and path.suffix:  # without one, it is a folder that is to be written to
            raise VidposeError(f"{path}: a folder, where a file would be written; choose another `out`")
        make_folder(path.parent)


def spare_inputs(paths: Iterable[Path], inputs: Iterable[Path]) -> None:
    """See, before the work, that none of the files to be written is one that is read.

    Args:
        inputs: files and folders; names of what is no file do no harm.

    Raises:
        VidposeError: one is, by whatever name or link.
    """
    read = {_identity(path) for path in inputs}
    for path in paths:
        if _identity(path) in read:
            raise VidposeError(f"{path}: an input, which would be replaced; write to another folder or name")


def check_suffix(path: Path, what: str, suffixes: Iterable[str]) -> None:
    """See that a file's name says what will be in it.

    Args:
        what: as in "a page".

    Raises:
        UsageError: its suffix is none of these.
    """
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path}: cannot write {what} of this kind; name it {', '.join(suffixes)}")


def _identity(path: Path) -> tuple[int, int] | str:
    """What two paths to one file have in common; of one that is not there yet, too."""
    try:
        about = path.stat()
    except (OSError, ValueError):
        return os.path.realpath(path) if "\0" not in str(path) else str(path)
    return about.st_dev, about.st_ino


def _check_name(path: Path) -> None:
    """Raises OSError where the file system has no names of that length."""
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))


_LONGEST_NAME = 255
"""Bytes; the same for all file systems in wide use."""


def make_folder(folder: Path) -> None:
    """Make a folder to write to, with those above it, unless it is there.

    Raises:
        VidposeError: it cannot be made, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VidposeError(f"{folder}: cannot be made ({describe(error)})") from None
    if not os.access(folder, os.W_OK):
        raise VidposeError(f"{folder}: no permission to write there; choose another `out`")


def resolved(path: Path) -> Path:
    """The file that a path leads to; a link that leads to itself, which `Path.resolve` raises at, is such a file."""
    return Path(os.path.realpath(path))


def describe(error: OSError) -> str:
    """An operating-system error in words a user can act on."""
    if error.errno == errno.EEXIST and error.filename and not os.path.exists(error.filename):
        return "it is a link that leads nowhere; remove it, or choose another `out`"
    advice = {
        errno.ENOSPC: "the disk is full; free some space or choose another `out`",
        errno.EDQUOT: "the disk quota is used up; free some space or choose another `out`",
        errno.EACCES: "no permission; choose another `out`",
        errno.EROFS: "the file system is read-only; choose another `out`",
        errno.ENAMETOOLONG: "the name is too long; give the input a shorter one, or choose another `out`",
        errno.ENOTDIR: "something above it is a file, not a folder; choose another `out`",
        errno.EEXIST: "a file of that name is in the way; choose another `out`",
        errno.EISDIR: "a folder of that name is in the way; choose another `out`",
    }
    return advice.get(error.errno or 0, error.strerror or str(error))


class FolderInUseError(VidposeError):
    """Another program of ours writes to a folder."""


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other programs of ours from writing to a folder until the block ends; it is made if it is not there.

    Raises:
        FolderInUseError: another one writes there.
        VidposeError: the folder cannot be made.
    """
    make_folder(folder)
    if fcntl is None:
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUseError(
                f"{folder}: another vidpose is writing there; wait until it ends, or choose another `out`"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(opened)
