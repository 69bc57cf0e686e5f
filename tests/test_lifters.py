"""What every registered lifter must do, with no code for any one of them."""

import pytest
import torch

from vidpose.errors import UsageError, VidposeError
from vidpose.lifters import create_lifter, lifter_names
from vidpose.lifters.normalisation import NORMALISATIONS
from vidpose.zoo import load_lifter, load_weights, save_lifter

every_lifter = pytest.mark.parametrize("name", lifter_names())


def fresh(name: str):
    torch.manual_seed(0)
    return create_lifter(name).eval()


def keypoints(lifter, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (batch, lifter.config.frames, len(lifter.layout), lifter.config.channels)
    return torch.randn(shape, generator=generator)


@every_lifter
def test_shape(name):
    lifter = fresh(name)
    joints = lifter(keypoints(lifter))
    assert joints.shape == (2, lifter.config.frames, len(lifter.layout), 3)
    assert joints.isfinite().all()


@every_lifter
def test_every_parameter_gets_a_gradient(name):
    lifter = fresh(name).train()
    lifter(keypoints(lifter)).square().sum().backward()
    without = [key for key, p in lifter.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


@every_lifter
def test_batch_elements_are_independent(name):
    lifter = fresh(name)
    inputs = keypoints(lifter, 3)
    torch.testing.assert_close(lifter(inputs)[1:2], lifter(inputs[1:2]), rtol=1e-4, atol=1e-5)


@every_lifter
def test_bfloat16_is_near(name):
    lifter = fresh(name)
    inputs = keypoints(lifter)
    with torch.autocast("cpu", torch.bfloat16):
        half = lifter(inputs).float()
    exact = lifter(inputs)
    assert (half - exact).norm() < 0.05 * exact.norm()


@every_lifter
def test_saved_weights_give_the_same_output(name, tmp_path):
    lifter = fresh(name)
    save_lifter(lifter, tmp_path / "w.safetensors", {"data": "none"})
    loaded = load_weights(tmp_path / "w.safetensors")
    assert loaded.about["data"] == "none"
    assert loaded.lifter.config == lifter.config
    inputs = keypoints(lifter)
    assert torch.equal(loaded.lifter(inputs), lifter(inputs))


def test_person_normalisation_forgets_place_and_size():
    points = torch.randn(2, 9, 17, 2, generator=torch.Generator().manual_seed(0))
    scored = torch.cat([points, torch.ones(2, 9, 17, 1)], dim=-1)
    moved = scored.clone()
    moved[..., :2] = 37 * scored[..., :2] + 500
    person = NORMALISATIONS["person"]
    torch.testing.assert_close(person(moved, (640, 480)), person(scored, (1920, 1080)), rtol=1e-3, atol=1e-3)
    assert person(scored, (1, 1))[:, :, 0, :2].abs().max() == 0


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_absent_joints_become_zeros_and_touch_nothing_else(name):
    points = torch.rand(1, 4, 17, 3) + 1
    absent = points.clone()
    absent[0, 2, 5] = torch.tensor([float("nan"), float("nan"), 0.0])
    everyone, without = (NORMALISATIONS[name](p, (2, 2)) for p in (points, absent))
    assert (without[0, 2, 5] == 0).all()
    assert without.isfinite().all()
    if name == "screen":
        kept = torch.ones(4, 17, dtype=torch.bool)
        kept[2, 5] = False
        assert torch.equal(without[0][kept], everyone[0][kept])


def test_a_frame_without_anyone_is_finite():
    points = torch.full((1, 3, 17, 3), float("nan"))
    assert (NORMALISATIONS["person"](points, (640, 480)) == 0).all()


def test_unknown_names_and_settings_are_usage_errors():
    with pytest.raises(UsageError, match=r"unknown lifter 'x'.*single-branch"):
        create_lifter("x")
    with pytest.raises(UsageError, match="no setting wdith"):
        create_lifter("single-branch", wdith=3)
    with pytest.raises(UsageError, match="unknown lifter 'nothing'"):
        load_lifter("nothing")


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "w.safetensors"
    save_lifter(create_lifter("single-branch", width=16, depth=1), path, {})
    return path


def rewrite(path, **changes):
    """The same weights under a changed header."""
    import json

    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["vidpose"])
    save_file(load_file(path), path, metadata={"vidpose": json.dumps(header | changes)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arch": "resnet"}, "unknown architecture 'resnet'"),
        ({"config": {"width": 32, "depth": 1}}, "do not fit single-branch"),
        ({"config": {"width": "wide"}}, "do not fit single-branch"),
        ({"config": 3}, "unknown architecture"),
        ({"layout": "coco17"}, "layout 'coco17'"),
        ({"format": "other"}, "not of a vidpose lifter"),
        ({"format_version": 99}, "newer vidpose"),
    ],
)
def test_a_wrong_header_is_one_line(saved, changes, message):
    rewrite(saved, **changes)
    with pytest.raises(VidposeError, match=message) as caught:
        load_lifter(saved)
    assert "\n" not in str(caught.value)
    assert str(saved) in str(caught.value)


def test_a_pickle_is_refused_unopened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    torch.save({"model": Bomb()}, tmp_path / "w.pth")
    with pytest.raises(VidposeError, match="pickled checkpoint"):
        load_lifter(tmp_path / "w.pth")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 64])
def test_garbage_is_not_safetensors(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(VidposeError, match="not a safetensors file"):
        load_lifter(tmp_path / "w.safetensors")


def test_safetensors_of_others_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(VidposeError, match="no vidpose header"):
        load_lifter(tmp_path / "w.safetensors")


def test_a_damaged_shipped_file_is_noticed(saved, tmp_path, monkeypatch):
    from vidpose import zoo

    entry = zoo.ZooEntry(saved.name, "0" * 64)
    monkeypatch.setattr(zoo, "ZOO", {"single-branch": entry})
    monkeypatch.setattr(zoo, "shipped", lambda kind: tmp_path)
    with pytest.raises(VidposeError, match=r"damaged .sha256 .*expected 00000000"):
        load_lifter("single-branch")
