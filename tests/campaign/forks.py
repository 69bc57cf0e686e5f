"""The program in forks of one warm process, each with a limit of time and memory; and what is wrong with its end."""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_FOREIGN = ("mmdet", "mmpose", "rerun", "__main__")
_WAITING = 10
"""How many times its processor time a command may take, on a machine that is busy with other things."""

_LATE = 3000
"""Characters of an error, beyond which it is no line that anybody reads."""


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        code: the exit code; minus a signal's number; None where it ran out of time.
        out, err: what it said.
        seconds, mib: what it took.
    """

    code: int | None
    out: str
    err: str
    seconds: float
    mib: float


def warm_up() -> None:
    """Import all of vidpose once, so that a fork starts in no time."""
    import matplotlib.pyplot
    import torch

    import vidpose

    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(vidpose.__path__, "vidpose."):
        if not any(part in module.name for part in _FOREIGN):
            with suppress(ImportError):
                importlib.import_module(module.name)
    matplotlib.pyplot.close("all")
    # A network that waits to be collected would wait, in a fork, for threads that are not there.
    gc.collect()
    gc.freeze()


def run(
    arguments: list[str],
    folder: Path,
    *,
    seconds: float = 60.0,
    mib: int = 6144,
    interrupt: tuple[float, int] | None = None,
    environment: Mapping[str, str] = {},
) -> Ending:
    """Run `vidpose` in a folder.

    Args:
        seconds: of the processor's time, after which it is killed; one that only waits, after ten times as long.
        mib: of address space beyond what the warm process has.
        interrupt: (after how many seconds, which signal): a fault that is done to it.
    """
    said = {name: folder.with_name(f"{folder.name}.{name}") for name in ("out", "err")}
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # what is not the program's own is not tried
    child = os.fork()
    if child == 0:
        _be_the_program(arguments, folder, said, seconds, mib, environment)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    started, done = time.monotonic(), False
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        passed = time.monotonic() - started
        if ended:
            code = os.waitstatus_to_exitcode(status)
            code = None if code == -signal.SIGXCPU else code
            break
        if passed > _WAITING * seconds:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            _, _, used = os.wait4(child, 0)
            code = None
            break
        if interrupt and not done and passed > interrupt[0]:
            with suppress(ProcessLookupError):
                os.killpg(child, interrupt[1])
            done = True
        time.sleep(0.005)
    texts = {name: path.read_bytes().decode(errors="replace") for name, path in said.items()}
    return Ending(code, texts["out"], texts["err"], passed, used.ru_maxrss / 1024)


def _be_the_program(
    arguments: list[str],
    folder: Path,
    said: Mapping[str, Path],
    seconds: float,
    mib: int,
    environment: Mapping[str, str],
) -> None:
    code = 99
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(said[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + (mib << 20),) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds),) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        os.environ.update(environment)
        sys.argv = ["vidpose", *arguments]
        from vidpose.__main__ import main

        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        except KeyboardInterrupt:  # it came before the program began
            os._exit(130)
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        code = 98
    finally:
        os._exit(code)


def files_of(folder: Path) -> set[str]:
    """Files below a folder, by their relative names."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def faults(ending: Ending, folder: Path, before: set[str], *, interrupted: bool = False) -> Iterator[str]:
    """What is wrong with how a run ended.

    Args:
        before: files that were there.
        interrupted: it was sent a signal, so that what it was writing may be unfinished, though never under its name.
    """
    if ending.code is None:
        yield "hang"
    elif ending.code < 0 and not interrupted:
        yield f"killed by signal {-ending.code}"
    elif ending.code > 2 and not (interrupted and ending.code == 130):
        yield f"exit code {ending.code}"
    if "Traceback (most recent call last)" in ending.err:
        yield "traceback"
    if "error: unexpected" in ending.err:
        yield "unexpected"
    if "error: the memory is full" in ending.err or "more than fits into memory" in ending.err:
        yield "memory"
    errors = [line for line in ending.err.splitlines() if line.startswith("error:")]
    if ending.code in (1, 2) and not interrupted:
        if not errors and "Usage" not in ending.err:
            yield "no error line"
        several = bool(errors) and errors[-1].endswith("videos failed")  # a line each, and how many
        if (len(errors) > 1 and not several) or (errors and ending.err.splitlines()[-1] != errors[-1]):
            yield "more than one line"
        if errors and len(errors[-1]) > _LATE:
            yield "an endless line"
    if "\x1b" in ending.err + ending.out:
        yield "escapes on the terminal"
    for name in sorted(files_of(folder) - before):
        if ".partial" in name:
            if not (interrupted and ending.code == -signal.SIGKILL):
                yield f"left {name}"
        elif not _is_whole(folder / name):
            yield f"half-written {name}"


def _is_whole(path: Path) -> bool:
    """Whether a file of ours can be read to its end, where that is known."""
    try:
        if path.suffix in (".json", ".gltf"):
            _strict(path.read_text(encoding="utf-8"))
        elif path.suffix == ".jsonl":
            for line in path.read_text(encoding="utf-8").splitlines():
                _strict(line)
        elif path.suffix == ".html":
            for data in re.findall(r'type="application/json"[^>]*>(.*?)</script>', path.read_text("utf-8"), re.DOTALL):
                _strict(data)
        elif path.suffix == ".npz" and not path.name.endswith(".truth.npz") and not path.stem.isdigit():  # a segment
            from vidpose.body.tracks import PoseResult

            with np.load(path) as file:
                arrays = {name: file[name] for name in file.files}
            if "positions" not in arrays:  # of motion
                PoseResult.load(path)
    except Exception:
        return False
    return True


def _strict(text: str) -> object:
    def refuse(name: str) -> None:
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)
