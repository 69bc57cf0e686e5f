"""Checkpoints as frameworks wrap them: what is in them is the same network."""

import argparse
import pathlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vidpose.common.errors import UsageError, VidposeError
from vidpose.lifters.importing import import_lifter
from vidpose.weights.untrusted import read_checkpoint

GOLDEN = Path(__file__).parent / "data" / "lifters" / "videopose3d"
PLAIN = read_checkpoint(GOLDEN / "ckpt.pt")
AVERAGES = {key: tensor + 1 if tensor.is_floating_point() else tensor for key, tensor in PLAIN.items()}


def prefixed(prefix: str, tensors: dict[str, torch.Tensor] = PLAIN) -> dict[str, torch.Tensor]:
    return {prefix + key: tensor for key, tensor in tensors.items()}


def lightning() -> dict[str, Any]:
    loss = {"criterion.weight": torch.ones(3)}
    return {"state_dict": prefixed("model.") | loss, "epoch": 3, "pytorch-lightning_version": "2.6.1", "callbacks": {}}


def adam() -> dict[str, Any]:
    weight = torch.nn.Parameter(torch.ones(3))
    optimiser = torch.optim.Adam([weight], amsgrad=True)
    weight.sum().backward()
    optimiser.step()
    return optimiser.state_dict()


WRAPPED: dict[str, Callable[[], Any]] = {
    "plain": lambda: PLAIN,
    "Lightning": lightning,
    "Lightning of a compiled network": lambda: {"state_dict": prefixed("model._orig_mod.")},
    "torch.compile": lambda: prefixed("_orig_mod."),
    "DataParallel": lambda: {"model": prefixed("module.")},
    "compiled DataParallel": lambda: {"model": prefixed("_orig_mod.module.")},
    "model_state_dict": lambda: {"model_state_dict": PLAIN, "optimizer_state_dict": {"state": {}}},
    "net": lambda: {"net": PLAIN, "acc": 0.5},
    "counted by thop": lambda: PLAIN | {f"{part}total_ops": torch.zeros(1) for part in ("", "expand_conv.")},
    "net in front": lambda: {"state_dict": prefixed("net.")},
    "beside a network of the root's path": lambda: {
        "model_traj": {"shrink.bias": torch.ones(3)}, "model_pos": PLAIN, "semi_supervised": False,
    },
    "a name of their own, and an optimiser": lambda: {"lifter_3d": prefixed("module."), "optim": adam(), "epoch": 7},
    "a namespace of settings": lambda: {
        "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("runs"), seed=np.float64(3)), "state_dict": PLAIN,
    },
}  # fmt: skip

WITH_AVERAGES: dict[str, Callable[[], Any]] = {
    "beside, of timm": lambda: {"state_dict": PLAIN, "state_dict_ema": AVERAGES},
    "beside, in an object": lambda: {"model": PLAIN, "ema": {"decay": 0.99, "shadow": AVERAGES}},
    "beside, wrapped": lambda: {"model": PLAIN, "model_ema": {"module": prefixed("module.", AVERAGES)}},
    "in Lightning's state": lambda: {"state_dict": prefixed("model.") | prefixed("ema_model.module.", AVERAGES)},
}


def saved(tmp_path: Path, content: Any) -> Path:
    torch.save(content, tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


def assert_holds(tensors: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert tensors.keys() == right.keys()
    for key, tensor in right.items():
        torch.testing.assert_close(tensors[key], tensor)


@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapped_network_is_found(name: str, tmp_path: Path):
    path = saved(tmp_path, WRAPPED[name]())
    assert_holds(read_checkpoint(path), PLAIN)
    assert import_lifter(path, "videopose3d").layout.name == "h36m17"


@pytest.mark.parametrize("name", WITH_AVERAGES)
def test_of_weights_and_their_averages_the_wanted_are_taken(name: str, tmp_path: Path):
    path, told = saved(tmp_path, WITH_AVERAGES[name]()), []
    assert_holds(read_checkpoint(path, tell=told.append), PLAIN)
    assert told == ["the plain weights are taken; the checkpoint has moving averages too (`prefer`)"]
    told.clear()
    assert_holds(read_checkpoint(path, prefer="ema", tell=told.append), AVERAGES)
    assert told == ["the moving averages are taken; the checkpoint has plain weights too (`prefer`)"]


def test_a_checkpoint_of_averages_alone(tmp_path: Path):
    averaged = torch.optim.swa_utils.AveragedModel(torch.nn.Linear(2, 2)).state_dict()
    assert read_checkpoint(saved(tmp_path, averaged)).keys() == {"weight", "bias"}
    assert_holds(read_checkpoint(saved(tmp_path, {"ema": AVERAGES})), AVERAGES)
    assert_holds(read_checkpoint(saved(tmp_path, {"ema": AVERAGES}), prefer="ema"), AVERAGES)


def test_two_networks_under_names_of_their_own_are_not_guessed_at(tmp_path: Path):
    with pytest.raises(VidposeError, match="without tensors, or with them where they are not expected"):
        read_checkpoint(saved(tmp_path, {"generator": PLAIN, "critic": {"weight": torch.ones(2)}}))


def test_averages_that_are_not_there(tmp_path: Path):
    with pytest.raises(UsageError, match=r"a\.ckpt: `prefer=ema`: it has no moving averages"):
        read_checkpoint(saved(tmp_path, PLAIN), prefer="ema")


def test_settings_are_not_run(tmp_path: Path):
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pathlib.Path.touch, (tmp_path / "ran",))

    with pytest.raises(VidposeError, match="could run code when read"):
        read_checkpoint(saved(tmp_path, {"args": Evil(), "state_dict": PLAIN}))
    assert not (tmp_path / "ran").exists()


def test_the_command_takes_averages(run, tmp_path: Path):
    path = saved(tmp_path, {"model": PLAIN, "ema": AVERAGES})
    code, out, _ = run(
        "weights", "import", path, "--arch", "videopose3d", "--out", tmp_path / "a.safetensors", "--prefer", "ema"
    )
    assert code == 0
    assert "the moving averages are taken" in out
