"""OpenMMLab's networks by name: their configs, and checkpoints read without running what is in them.

mmpose and mmdet bring a few hundred configs, each a Python file that says how a network is built and what has to be
done before and after it. Their own loader unpickles checkpoints; here only tensors are taken from one.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidpose.common.errors import UsageError, VidposeError, did_you_mean, one_line
from vidpose.weights.catalogue import Entry, Published, weights_file
from vidpose.weights.untrusted import read_checkpoint

log = logging.getLogger(__name__)

_OPTIONS = {"mmpose": "keypoints", "mmdet": "detector"}
"""Which option of the command line takes a library's networks."""

_USUAL = ("topdown_heatmap/coco", "rtmpose/coco")
"""Where mmpose has the configs of people on COCO."""


class _Discarded:
    """Stands in for what a checkpoint holds besides tensors: takes whatever the pickle gives it, and keeps nothing."""

    def __init__(self, *args: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


_CURVES: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Discarded, name) for name in ("mmengine.logging.history_buffer.HistoryBuffer", "builtins.getattr")
]
"""What the curves of a training are made of. `getattr` is but a name here: what is called in its place does nothing."""


def read_config(library: str, name: str) -> Any:
    """The config of a network, an `mmengine.Config`. A config is Python, and is run.

    Args:
        library: "mmpose" or "mmdet".
        name: of a config that comes with the library, without `.py`; or the path of a config file, with `.py`.

    Raises:
        UsageError: there is no such config; says which is nearest.
        VidposeError: the library is not installed or cannot be loaded, or the config cannot be read.
    """
    if find_spec(library) is None:
        raise VidposeError(
            f"--{_OPTIONS[library]} {library}:{name}: {library} is not installed here; `make openmmlab` in vidpose's "
            "repository makes an environment that has it"
        )
    with failing(f"{library} is installed but cannot be loaded; `make openmmlab` makes an environment that runs it"):
        folder = Path(str(importlib.import_module(library).__file__)).parent / ".mim" / "configs"
    path = Path(name) if name.endswith(".py") else _named(library, name, folder)
    if not path.is_file():
        raise VidposeError(f"{path}: no such config of {library}")
    from mmengine.config import Config

    with failing(f"{path}: not a config that {library} can read"):
        return Config.fromfile(path)


def check_weights(library: str, name: str, config: Any, weights: Path | None, entries: Iterable[Entry]) -> Path:
    """The checkpoint to load: the one given, or the published one of `entries` where it was fetched.

    Raises:
        UsageError: none is given, and vidpose fetches none; says where there is one.
        VidposeError: it fetches one, which is not at hand.
    """
    if weights:
        return weights
    option, url = _OPTIONS[library], _published(Path(config.filename))
    for entry in entries:
        if url and isinstance(entry.weights, Published) and entry.weights.url == url:
            return weights_file(entry)
    advice = f"; {library} publishes them at {url}" if url else ""
    raise UsageError(f"--{option} {library}:{name}: give its weights with --{option}-weights FILE{advice}")


def load_weights(network: nn.Module, weights: Path, name: str) -> None:
    """Put a checkpoint's tensors into a network.

    Raises:
        VidposeError: see `read_checkpoint`; or the checkpoint lacks some of the network's, or has them in other shapes.
    """
    with torch.serialization.safe_globals(_CURVES):
        tensors = read_checkpoint(weights)
    # mmpose 1.x stores the mean and deviation of the colours, which the config says too.
    tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith("data_preprocessor.")}
    with failing(f"{weights}: not weights of {name}"):
        missing, surplus = network.load_state_dict(tensors, strict=False)
    if missing:
        raise VidposeError(f"{weights}: not weights of {name}: lacks {_some(missing)}")
    if surplus:
        log.warning("%s: %s has no use for %s", weights, name, _some(surplus))


@contextmanager
def failing(problem: str) -> Iterator[None]:
    """Make one line of whatever OpenMMLab raises, which have no common base, and keep its warnings to itself."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        # mmdet resets the filters, but not where warnings go.
        with warnings.catch_warnings(record=True):
            yield
    except VidposeError:
        raise
    except Exception as error:
        raise VidposeError(f"{problem} ({type(error).__name__}: {one_line(error)})") from error
    finally:
        logging.disable(disabled)


def _named(library: str, name: str, folder: Path) -> Path:
    known = {path.stem: path for path in sorted(folder.rglob("*.py")) if "_base_" not in path.parts}
    if name in known:
        return known[name]
    # Nobody who forgets part of a name means an animal's network or a variant.
    likely = sorted(known, key=lambda k: (not known[k].parent.as_posix().endswith(_USUAL), len(k)))
    raise UsageError(
        f"--{_OPTIONS[library]} {library}:{name}: {library} has no such config; {did_you_mean(name, likely)}a path of "
        "one, which ends in .py, will do as well"
    )


def _published(config: Path) -> str:
    """The address of a config's weights, from the metafile that lies beside it; "" where it gives none."""
    import yaml

    for metafile in sorted(config.parent.glob("*.yml")):
        for network in yaml.safe_load(metafile.read_text(encoding="utf-8")).get("Models", []):
            if Path(network["Config"]).name == config.name:
                return network.get("Weights", "")
    return ""


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
