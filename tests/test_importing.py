"""Authors' checkpoints: the converted lifters against recorded outputs of the authors' own code.

`data/lifters/NAME` holds a small checkpoint with random weights in the authors' layout, and an input with the output
that their implementation gave for it.
"""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import vidpose
from vidpose.common.errors import UsageError, VidposeError
from vidpose.lifters import lifter_names
from vidpose.lifters.importing import import_lifter
from vidpose.weights.untrusted import read_checkpoint

GOLDEN = Path(__file__).parent / "data" / "lifters"

ARCHES = {
    "glagcn": "gla-gcn",
    "hossain_transcribed": "seq2seq",
    "ktpformer": "ktpformer",
    "martinez_pytorch": "martinez",
    "mhformer": "mhformer",
    "mixste": "mixste",
    "motionagformer": "motionagformer",
    "motionbert": "motionbert",
    "poseformer": "poseformer",
    "poseformerv2": "poseformer-v2",
    "pstmo": "p-stmo",
    "stcformer": "stcformer",
    "strided_transformer": "strided-transformer",
    "videopose3d": "videopose3d",
}


def recorded(name: str) -> dict[str, torch.Tensor]:
    """The golden's arrays, those of another layout brought into (B, T, J, C)."""
    with np.load(GOLDEN / name / "io.npz") as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file}
    if name == "martinez_pytorch":
        arrays = {key: array[:, None].unflatten(-1, (16, -1)) for key, array in arrays.items()}
    if name == "hossain_transcribed":
        arrays = {key: array.unflatten(-1, (16, -1)) for key, array in arrays.items()}
    if name == "pstmo":
        arrays = {key: array.squeeze(-1).permute(0, 2, 3, 1) for key, array in arrays.items()}
    return arrays


def assert_same(actual: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-5) -> None:
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.parametrize("name", ARCHES)
def test_imported_weights_give_the_authors_output(name, tmp_path):
    from vidpose.cli import cli

    out = tmp_path / "w.safetensors"
    arguments = ["weights", "import", str(GOLDEN / name / "ckpt.pt"), "--arch", ARCHES[name], "--out", str(out)]
    cli.main(arguments, standalone_mode=False)
    lifter = vidpose.load_lifter(out)
    arrays = recorded(name)
    with torch.inference_mode():
        assert_same(lifter(arrays["input"]), arrays["output"])
        if "representation" in arrays:
            # Before the head the recorded float32 numbers of MotionBERT are 2.6e-5 from what float64 gives.
            assert_same(lifter.represent(arrays["input"]), arrays["representation"], tolerance=1e-4)
        if "output_vte" in arrays:
            assert_same(lifter.predictions(arrays["input"])[0], arrays["output_vte"])


@pytest.mark.parametrize("name", ["martinez_pytorch", "hossain_transcribed"])
def test_sixteen_joints_are_found_among_seventeen(name):
    lifter = import_lifter(GOLDEN / name / "ckpt.pt", ARCHES[name])
    arrays = recorded(name)
    with_nose = torch.cat([arrays["input"][:, :, :9], torch.rand(*arrays["input"].shape[:2], 1, 2),
                           arrays["input"][:, :, 9:]], dim=2)  # fmt: skip
    joints = lifter(with_nose)
    assert_same(joints[:, :, 1:], arrays["output"])
    assert not joints[:, :, 0].any()


def rewritten(tmp_path: Path, change) -> Path:
    """MixSTE's golden checkpoint, its tensors changed."""
    tensors = read_checkpoint(GOLDEN / "mixste" / "ckpt.pt")
    change(tensors)
    path = tmp_path / "changed.bin"
    torch.save({"model_pos": {f"module.{key}": tensor for key, tensor in tensors.items()}}, path)
    return path


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize("arch", ["mixste", "poseformer", "videopose3d", "martinez", "seq2seq"])
def test_a_checkpoint_of_another_architecture_is_refused(name, arch):
    if ARCHES[name] == arch:
        return
    with pytest.raises(VidposeError, match=rf"not a checkpoint of {arch}|keys (of|that) {arch}") as caught:
        import_lifter(GOLDEN / name / "ckpt.pt", arch)
    assert "\n" not in str(caught.value)


def test_missing_and_surplus_keys_are_named(tmp_path):
    path = rewritten(tmp_path, lambda tensors: tensors.pop("STEblocks.1.norm2.bias"))
    with pytest.raises(VidposeError, match=r"lacks keys of mixste: STEblocks.1.norm2.bias$"):
        import_lifter(path, "mixste")
    path = rewritten(tmp_path, lambda tensors: tensors.update({f"extra.{i}": torch.zeros(1) for i in range(6)}))
    with pytest.raises(VidposeError, match=r"has keys that mixste has not: extra.0, .*extra.3 and 2 more$"):
        import_lifter(path, "mixste")
    path = rewritten(tmp_path, lambda tensors: tensors.pop("Spatial_patch_to_embedding.weight"))
    with pytest.raises(VidposeError, match=r"not a checkpoint of mixste: it has no Spatial_patch_to_embedding.weight"):
        import_lifter(path, "mixste")
    path = rewritten(tmp_path, lambda tensors: tensors.update({"head.1.bias": torch.zeros(4)}))
    with pytest.raises(VidposeError, match=r"head.1.bias is of shape \(4,\), where mixste .*\(3,\)"):
        import_lifter(path, "mixste")


def test_settings_the_shapes_do_not_tell_can_be_given():
    path = GOLDEN / "mixste" / "ckpt.pt"
    assert import_lifter(path, "mixste").config.heads == 8
    assert import_lifter(path, "mixste", {"heads": 4}).config.heads == 4
    with pytest.raises(UsageError, match="no setting haeds"):
        import_lifter(path, "mixste", {"haeds": 4})


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_foreign_globals_is_refused_unrun(tmp_path, legacy):
    path, flag = tmp_path / "w.bin", tmp_path / "exploded"
    content = {"model_pos": {"x": torch.zeros(1)}, "random_state": Bomb(flag)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(VidposeError, match=r"holds \w+.open, which could run code") as caught:
        import_lifter(path, "mixste")
    assert "\n" not in str(caught.value)
    assert not flag.exists()


def test_numpy_random_state_is_admitted_and_dropped(tmp_path):
    path = tmp_path / "w.bin"
    state = {"random_state": np.random.RandomState(0), "lr": np.float64(0.1), "model_pos": {"x": torch.ones(2)}}
    torch.save(state, path)
    assert torch.equal(read_checkpoint(path)["x"], torch.ones(2))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"\0" * 60, b"\x80\x02}q\x00."])
def test_what_is_no_checkpoint_is_one_line(tmp_path, content):
    path = tmp_path / "w.bin"
    path.write_bytes(content)
    with pytest.raises(VidposeError, match=r"w.bin: (not a PyTorch checkpoint|a checkpoint without tensors)") as caught:
        import_lifter(path, "mixste")
    assert "\n" not in str(caught.value)


def packed(path: Path, tensor: torch.Tensor) -> Path:
    """A checkpoint whose files somebody has deflated."""
    torch.save({"state_dict": {"w": tensor}}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_checkpoint_that_unpacks_to_many_times_its_size_is_not_unpacked(tmp_path, monkeypatch):
    weights = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(read_checkpoint(packed(tmp_path / "w.pth", weights))["w"], weights)
    path = packed(tmp_path / "w.pth", torch.zeros(1_000_000))
    monkeypatch.setattr("torch.load", None)
    with pytest.raises(
        VidposeError, match=r"w\.pth: claims 4,00\d,\d{3} bytes in \d,\d{3}, as no checkpoint"
    ) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_other_mistakes_are_one_line(tmp_path):
    with pytest.raises(VidposeError, match="cannot be read"):
        import_lifter(tmp_path / "none.bin", "mixste")
    with pytest.raises(UsageError, match="unknown lifter 'mixste2'; known are"):
        import_lifter(GOLDEN / "mixste" / "ckpt.pt", "mixste2")
    with pytest.raises(UsageError, match="single-branch: no authors' checkpoints"):
        import_lifter(GOLDEN / "mixste" / "ckpt.pt", "single-branch")
    torch.save({"epoch": 3}, tmp_path / "empty.bin")
    with pytest.raises(VidposeError, match="without tensors"):
        import_lifter(tmp_path / "empty.bin", "mixste")


def test_every_lifter_with_public_weights_has_a_golden():
    # Of D3DP's denoiser there is one in test_published_sizes.py. Two are computed once more in test_public_networks.py.
    without = {
        "attention-tcn",
        "graformer",
        "d3dp",
        "lstm",
        "single-branch",
        "dual-branch",
        "pot",
        "ssr-stf",
        "ssr-stf-small",
        "martinez-mean",
        "martinez-median",
    }
    assert set(ARCHES.values()) | without == set(lifter_names())
