"""Checkpoints that nobody vouches for, read without running what is in them.

They are pickles. They are read by torch's restricted unpickler, which admits tensors and plain containers. The random
state of numpy and the settings of the run that many of them carry are admitted by name, and thrown away unread.
"""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch

from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.inputs import open_input, short

_PLAIN = ("model_pos", "model", "state_dict", "model_state_dict", "net", "network", "params")
"""Where the weights are, in a checkpoint or in front of their names; the first that is there."""

_AVERAGED = (
    "ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict", "model_ema_state_dict", "params_ema", "shadow",
)  # fmt: skip
"""Where their moving averages are."""

_INSIDE = ("module", "shadow", "shadow_params", *_PLAIN)
"""Where those are who keep averages in an object of its own."""

_COMPONENTS = ("module", "_orig_mod")
"""What DataParallel and `torch.compile` put into names."""

_COUNTS = ("n_averaged", "total_ops", "total_params")
"""What averaging and profilers (thop) count in a network, anywhere in it."""

AVERAGED = "ema"
"""What `prefer` calls moving averages."""


class _Ignored:
    """Stands in for an object of a checkpoint: takes whatever the pickle gives it, and keeps none of it."""

    def __init__(self, *args: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass


_RANDOM_STATE = [
    (_Ignored, name)
    for name in (
        "numpy.random._pickle.__randomstate_ctor",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random._mt19937.MT19937",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.ndarray",
        "numpy.dtype",
        "numpy.dtypes.UInt32DType",
    )
]
"""What pickled `numpy.random.RandomState`s and scalars of numpy 1 and 2 are made of."""

_SETTINGS = [
    (_Ignored, name)
    for name in (
        "argparse.Namespace",
        "types.SimpleNamespace",
        "collections.defaultdict",
        "pathlib.Path",
        "pathlib.PosixPath",
        "pathlib.WindowsPath",
        "pathlib.PurePosixPath",
        "pathlib.PureWindowsPath",
        "pathlib._local.PosixPath",
        "pathlib._local.WindowsPath",
        "easydict.EasyDict",
        "yacs.config.CfgNode",
        "lightning_fabric.utilities.data.AttributeDict",
        "lightning.fabric.utilities.data.AttributeDict",
        "pytorch_lightning.utilities.parsing.AttributeDict",
        "lightning.pytorch.utilities.parsing.AttributeDict",
        "omegaconf.dictconfig.DictConfig",
        "omegaconf.listconfig.ListConfig",
        "omegaconf.nodes.AnyNode",
        "omegaconf.base.ContainerMetadata",
        "omegaconf.base.Metadata",
        "typing.Any",
    )
]
"""What the settings of a run are kept in."""


def read_checkpoint(
    path: Path, *, prefer: str = "plain", tell: Callable[[str], None] = lambda fact: None
) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint by name, as the network itself calls them.

    What a framework wraps them in is left out: `model_pos`, `state_dict` and the like, in the file or, as Lightning
    has it, in front of every name; and `module.` and `_orig_mod.`.

    Args:
        prefer: "plain" weights or their moving averages, "ema", where a checkpoint has both.
        tell: called with what was left out.

    Raises:
        UsageError: averages are asked for, and there are none.
        VidposeError: no such file, not a checkpoint, one that holds anything but tensors, containers, settings and
            numpy's random state, or one without tensors.
    """
    content = unpickled(path, _RANDOM_STATE + _SETTINGS)
    plain, averaged = _both(content)
    if averaged and (plain or prefer == AVERAGED):
        chosen = averaged if prefer == AVERAGED else plain
        if plain:
            which, other = (
                ("moving averages", "plain weights") if chosen is averaged else ("plain weights", "moving averages")
            )
            tell(f"the {which} are taken; the checkpoint has {other} too (`prefer`)")
    elif prefer == AVERAGED:
        raise UsageError(f"{path}: `prefer={prefer}`: it has no moving averages; leave that out")
    else:
        chosen = plain or averaged
    if not chosen:
        raise VidposeError(f"{path}: a checkpoint without tensors, or with them where they are not expected")
    for key, tensor in chosen.items():
        _check_plain(path, key, tensor)
    return chosen


Tensors = dict[str, torch.Tensor]


def _both(content: Any) -> tuple[Tensors, Tensors]:
    """The plain weights of a checkpoint, and their moving averages; empty where there are none."""
    if not isinstance(content, Mapping):
        return {}, {}
    averaged = next((found for key in _AVERAGED if (found := _within(content.get(key)))), {})
    wrapped = next((found for key in _PLAIN if (found := _within(content.get(key)))), None)
    if wrapped is None and not averaged and not _named(content):
        # Under a name of their own: clear where there is one such.
        candidates = [found for value in content.values() if (found := _within(value))]
        wrapped = candidates[0] if len(candidates) == 1 else None
    plain, prefixed = _without_prefixes(_named(content) if wrapped is None else wrapped)
    return plain, _without_prefixes(averaged)[0] or prefixed


def _within(value: Any, depth: int = 3) -> Tensors:
    """The tensors of a mapping, or of what an object that keeps averages has inside."""
    if not isinstance(value, Mapping) or not depth:
        return {}
    own = _named(value)
    inside = next((found for key in _INSIDE if (found := _within(value.get(key), depth - 1))), {})
    return own if len(own) >= len(inside) else inside


def _named(content: Mapping[Any, Any]) -> Tensors:
    named = {}
    for key, value in content.items():
        if isinstance(value, torch.Tensor):
            named[".".join(part for part in str(key).split(".") if part not in _COMPONENTS)] = value
    return {key: value for key, value in named.items() if key.rpartition(".")[2] not in _COUNTS}


def _without_prefixes(tensors: Tensors) -> tuple[Tensors, Tensors]:
    """The plain weights and the averages of a network that is itself a part of what was saved, by their own names."""
    parts = [key.partition(".") for key in tensors]
    groups: dict[str, Tensors] = {}
    for (first, _, rest), tensor in zip(parts, tensors.values(), strict=True):
        if rest and first in (*_PLAIN, *_AVERAGED):
            groups.setdefault(first, {})[rest] = tensor
    if 2 * sum(map(len, groups.values())) <= len(tensors):
        return tensors, {}
    plain, averaged = (next((groups[key] for key in keys if key in groups), {}) for keys in (_PLAIN, _AVERAGED))
    # A wrapper may be wrapped.
    return (_without_prefixes(plain)[0] if plain else {}), averaged


def unpickled(path: Path, admitted: Sequence[tuple[Any, str]] = (), device: torch.device | str = "cpu") -> Any:
    """What a pickled file holds, as torch's restricted unpickler reads it: tensors and plain containers.

    Args:
        admitted: what else may be in it: (class that stands in, full name).

    Raises:
        VidposeError: no such file, a damaged one, or one that holds anything else.
    """
    try:
        with (
            open_input(path) as file,
            torch.serialization.safe_globals(list(admitted)),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            _check_size(path, file)
            return torch.load(file, map_location=device, weights_only=True)
    except VidposeError:
        raise
    except OSError as error:
        raise VidposeError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # a pickle may say anything
        raise VidposeError(f"{path}: {_refusal(str(error))}") from None


_MOST_UNPACKED = 10
"""Times its own size that a checkpoint may be. PyTorch packs nothing, and packed weights get little smaller."""


def _check_size(path: Path, file: BinaryIO) -> None:
    """Raises VidposeError where an archive claims to hold many times as much as its file has."""
    is_archive = file.read(4) == b"PK\x03\x04"
    size = file.seek(0, os.SEEK_END)
    if is_archive:
        with zipfile.ZipFile(file) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
        if claimed > _MOST_UNPACKED * size:
            raise VidposeError(f"{path}: claims {claimed:,} bytes in {size:,}, as no checkpoint does; get it again")
    file.seek(0)


def _check_plain(path: Path, key: str, tensor: torch.Tensor) -> None:
    """Raises VidposeError for a tensor that does not hold each of its numbers."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise VidposeError(f"{path}: the tensor {short(key)} does not hold the numbers it should have; get it again")


def _refusal(problem: str) -> str:
    if "GLOBAL " not in problem:
        return "not a PyTorch checkpoint, or a damaged one"
    culprit = problem.split("GLOBAL ")[1].split()[0]
    return f"holds {culprit}, which could run code when read; only checkpoints of tensors are admitted"
