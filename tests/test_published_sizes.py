"""Authors' checkpoints at the sizes they released: configurations of theirs against recorded outputs of their code.

`data/published/NAME` has the names and shapes of a state dict as the authors' class gives them, with the key and the
prefix under which their files store it, and an input with the output of their implementation (float32, eval mode). The
weights follow from names and shapes.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

import vidpose
from vidpose.cli import cli
from vidpose.common.errors import UsageError, VidposeError
from vidpose.lifters.importing import import_lifter

PUBLISHED = Path(__file__).parent / "data" / "published"

ARCHES = {
    "d3dp-denoiser-243": ("d3dp", ()),
    "gla-gcn-243": ("gla-gcn", ()),
    "gla-gcn-27": ("gla-gcn", ()),
    "ktpformer-243": ("ktpformer", ()),
    "ktpformer-27": ("ktpformer", ()),
    "mhformer-27": ("mhformer", ()),
    "mhformer-351": ("mhformer", ()),
    "mhformer-81": ("mhformer", ()),
    "mixste-243-17joints": ("mixste", ()),
    "mixste-27-17joints": ("mixste", ()),
    "motionagformer-b-243": ("motionagformer", ()),
    "motionagformer-l-81-3dhp": ("motionagformer", ("layout=mpi-inf-3dhp17",)),
    "motionagformer-xs-27": ("motionagformer", ()),
    "motionbert-243": ("motionbert", ()),
    "p-stmo-s-243": ("p-stmo", ()),
    "p-stmo-s-3dhp-81": ("p-stmo", ("layout=mpi-inf-3dhp17",)),
    "poseformer-27-17joints": ("poseformer", ()),
    "poseformer-43-15joints": ("poseformer", ()),
    "poseformer-81-17joints": ("poseformer", ()),
    "poseformerv2-1_27": ("poseformer-v2", ("frames=27",)),
    "poseformerv2-27_243": ("poseformer-v2", ()),
    "poseformerv2-3_81": ("poseformer-v2", ("frames=81",)),
    "poseformerv2-9_81": ("poseformer-v2", ("frames=81",)),
    "stcformer-243-256": ("stcformer", ()),
    "stcformer-27-256": ("stcformer", ("frames=27",)),
    "strided-transformer-27": ("strided-transformer", ()),
    "strided-transformer-351": ("strided-transformer", ()),
    "videopose3d-h36m-27": ("videopose3d", ()),
    "videopose3d-h36m-cpn-243": ("videopose3d", ()),
    "videopose3d-humaneva15-27": ("videopose3d", ()),
}
"""The lifter that each is of, and the settings that the shapes do not tell."""


def weights(shapes: dict) -> dict[str, torch.Tensor]:
    """A state dict by the names and shapes of its tensors; None stands for a whole number."""
    return {key: torch.tensor(0) if shape is None else _numbers(key, shape) for key, shape in shapes.items()}


def _numbers(key: str, shape: list[int]) -> torch.Tensor:
    normal = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if key.endswith("running_var"):
        numbers = 1 + 0.2 * np.abs(normal)
    elif len(shape) >= 2:
        numbers = normal / math.sqrt(math.prod(shape[1:]))
    elif key.endswith("weight"):
        numbers = 1 + 0.1 * normal
    else:
        numbers = 0.05 * normal
    return torch.from_numpy(np.asarray(numbers, np.float32))


def checkpoint(path: Path, name: str) -> Path:
    """A file of the authors: wrapper, prefix and weights of a configuration."""
    about = json.loads((PUBLISHED / name / "keys.json").read_text())
    tensors = {about["prefix"] + key: tensor for key, tensor in weights(about["shapes"]).items()}
    torch.save({about["wrapper"]: tensors} if about["wrapper"] else tensors, path)
    return path


def imported(name: str, folder: Path) -> vidpose.lifters.Lifter:
    """The lifter of a configuration, brought over by the program."""
    arch, settings = ARCHES[name]
    out = folder / "w.safetensors"
    arguments = ["weights", "import", str(checkpoint(folder / "ckpt.bin", name)), "--arch", arch, "--out", str(out)]
    cli.main([*arguments, *(word for setting in settings for word in ("--set", setting))], standalone_mode=False)
    return vidpose.load_lifter(out)


def recorded(name: str) -> dict[str, torch.Tensor]:
    with np.load(PUBLISHED / name / "io.npz") as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file}
    if name.startswith("p-stmo"):
        return {key: array.squeeze(-1).permute(0, 2, 3, 1) for key, array in arrays.items()}
    return arrays


@pytest.mark.parametrize("name", ARCHES)
def test_a_published_configuration_gives_the_authors_output(name, tmp_path):
    lifter, arrays = imported(name, tmp_path), recorded(name)
    expected = arrays["output"]
    with torch.inference_mode():
        if name.startswith("d3dp"):
            # Two hypotheses, at the seventh step of the noise.
            noisy = np.random.RandomState(8).standard_normal(expected.shape).astype(np.float32)
            step = torch.full((2,), 7)
            answer = lifter.denoise(arrays["input"].repeat(2, 1, 1, 1), torch.from_numpy(noisy[0]), step)[None]
        else:
            *before, answer = lifter.predictions(arrays["input"])
    assert answer.shape == expected.shape
    error = (answer - expected).abs()
    # MotionAGFormer's frames choose their neighbours by a threshold: next to nothing may decide in a few of them.
    largest = error.flatten().quantile(0.998) if name.startswith("motionagformer") else error.max()
    assert largest < (3e-4 if name.startswith("motionagformer") else 1e-5) * expected.abs().max()
    if "output1" in arrays:
        assert (before[0] - arrays["output1"]).abs().max() < 1e-5 * arrays["output1"].abs().max()


def test_every_recorded_configuration_is_tried():
    assert set(ARCHES) == {path.name for path in PUBLISHED.iterdir() if path.is_dir()}


def test_layouts_follow_from_the_number_of_joints(tmp_path, capsys):
    lifter = imported("videopose3d-humaneva15-27", tmp_path)
    assert lifter.layout.name == lifter.input_layout.name == "humaneva15"
    assert "layout=humaneva15" in capsys.readouterr().out


def hourglass_checkpoint(path: Path) -> Path:
    """VideoPose3D for the sixteen joints that a stacked hourglass finds, and seventeen to answer for."""
    shapes = json.loads((PUBLISHED / "videopose3d-h36m-27" / "keys.json").read_text())["shapes"]
    width, _, first = shapes["expand_conv.weight"]
    tensors = weights(shapes | {"expand_conv.weight": [width, 32, first]})
    torch.save({"model_pos": tensors}, path)
    return path


def test_sixteen_joints_in_and_seventeen_out(tmp_path):
    lifter = import_lifter(hourglass_checkpoint(tmp_path / "sh.bin"), "videopose3d")
    assert (lifter.input_layout.name, lifter.layout.name) == ("h36m16", "h36m17")
    assert lifter(torch.zeros(1, 27, 16, 2)).shape == (1, 1, 17, 3)
    with pytest.raises(VidposeError, match=r"17 joints, where 16 are due \(h36m16\)"):
        lifter(torch.zeros(1, 27, 17, 2))


def test_mmposes_simple_baseline_is_refused(tmp_path):
    shapes = json.loads((PUBLISHED / "videopose3d-h36m-27" / "keys.json").read_text())["shapes"]
    width = shapes["expand_conv.weight"][0]
    fewer = {"expand_conv.weight": [width, 34, 1], "shrink.weight": [48, width, 1], "shrink.bias": [48]}
    one_frame = {key: [width, width, 1] for key in shapes if key.startswith("layers_conv") and key.endswith("weight")}
    torch.save({"model_pos": weights(shapes | one_frame | fewer)}, tmp_path / "simple.pth")
    with pytest.raises(VidposeError, match=r"simple\.pth: of 17 joints in and 16 out, as mmpose's SimpleBaseline3D"):
        import_lifter(tmp_path / "simple.pth", "videopose3d")


def test_an_input_layout_is_a_setting(tmp_path):
    path = checkpoint(tmp_path / "coco.bin", "videopose3d-h36m-27")
    lifter = import_lifter(path, "videopose3d", {"input_layout": "coco17"})
    assert (lifter.input_layout.name, lifter.layout.name) == ("coco17", "h36m17")
    with pytest.raises(UsageError, match="mixste: takes the joints that it answers for, so input_layout=h36m17"):
        vidpose.lifters.create_lifter("mixste", input_layout="coco17")


@pytest.mark.parametrize(
    ("arch", "frames", "strides"),
    [
        ("strided-transformer", 9, (1, 3, 3)),
        ("strided-transformer", 27, (3, 3, 3)),
        ("strided-transformer", 81, (3, 3, 9)),
        ("strided-transformer", 243, (3, 9, 9)),
        ("p-stmo", 351, (3, 9, 13)),
        ("p-stmo", 243, (3, 3, 3, 3, 3)),
    ],
)
def test_strides_that_no_shape_tells_are_the_released_ones(arch, frames, strides):
    lifter = vidpose.lifters.create_lifter(arch, frames=frames, strides=strides, width=16, hidden=32).eval()
    state = lifter.state_dict()
    assert lifter.infer_config(state)["strides"] == strides
    assert lifter(torch.randn(1, frames, 17, 2)).shape == (1, 1, 17, 3)


@pytest.mark.parametrize("name", ["gla-gcn-27", "motionagformer-xs-27"])
def test_graphs_of_mpi_inf_3dhp_are_human36ms_by_number(name, tmp_path):
    path, arrays = checkpoint(tmp_path / "c.bin", name), recorded(name)
    lifter = import_lifter(path, ARCHES[name][0], {"layout": "mpi-inf-3dhp17"})
    with torch.inference_mode():
        error = (lifter(arrays["input"]) - arrays["output"]).abs().max()
    assert error < 1e-5 * arrays["output"].abs().max()
