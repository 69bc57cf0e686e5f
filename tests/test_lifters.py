"""What every registered lifter must do, with no code for any one of them."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from vidpose.common.devices import has_bfloat16
from vidpose.common.errors import UsageError, VidposeError
from vidpose.lifters import HypothesisLifter, create_lifter, lifter_class, lifter_names, window_network
from vidpose.lifters import running as lifting
from vidpose.lifters.normalisation import NORMALISATIONS
from vidpose.lifters.running import lift
from vidpose.lifters.zoo import load_lifter, load_weights, save_lifter


def cases() -> list:
    """(name, settings) of every lifter at its smallest, and of those of its variants that differ there."""
    found = []
    for name in lifter_names():
        kind = lifter_class(name)
        seen = []
        for variant, settings in {"": {}, **kind.variants}.items():
            merged = {**settings, **kind.tiny}
            if (config := kind.Config(**merged)) not in seen:
                found.append(pytest.param((name, merged), id=f"{name}-{variant}".rstrip("-")))
                seen.append(config)
    return found


every_variant = pytest.mark.parametrize("case", cases())
every_lifter = pytest.mark.parametrize("case", [case for case in cases() if case.id in lifter_names()])


def fresh(case):
    name, settings = case
    torch.manual_seed(0)
    return create_lifter(name, **settings).eval()


def keypoints(lifter, batch: int = 2, frames: int | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (batch, frames or lifter.config.frames, len(lifter.layout), lifter.config.channels)
    return torch.randn(shape, generator=generator)


@every_variant
def test_shape_for_every_length_in_its_range(case):
    lifter = fresh(case)
    window = lifter.config.frames
    low, high = lifter.frame_range
    lengths = {low, (low + window) // 2, window} | ({window + 1, 2 * window + 3} if high is None else {high})
    for length in lengths:
        joints = lifter(keypoints(lifter, frames=length))
        if lifter.convolutional:
            answered = length - window + 1
        else:
            answered = length if lifter.predicts == "sequence" else joints.shape[1]
        assert answered in (1, length) or lifter.convolutional
        assert joints.shape == (2, answered, len(lifter.layout), 3)
        assert joints.isfinite().all()


@every_variant
def test_every_parameter_gets_a_gradient(case):
    lifter = fresh(case)
    predictions = lifter.predictions(keypoints(lifter))
    assert torch.equal(predictions[-1], lifter(keypoints(lifter)))
    sum(prediction.square().sum() for prediction in predictions).backward()
    without = [key for key, p in lifter.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


@every_lifter
def test_a_training_step_lowers_the_loss(case):
    lifter = fresh(case).train()
    inputs = keypoints(lifter, 4)
    targets = [torch.randn_like(p) for p in lifter.predictions(inputs)]
    optimiser = torch.optim.Adam(lifter.parameters(), 1e-3)

    def loss():
        return sum((p - t).square().mean() for p, t in zip(lifter.predictions(inputs), targets, strict=True))

    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        value = loss()
        value.backward()
        optimiser.step()
        losses.append(value.item())
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


@every_variant
def test_batch_elements_are_independent(case):
    lifter = fresh(case)
    inputs = keypoints(lifter, 3)
    torch.testing.assert_close(lifter(inputs)[1:2], lifter(inputs[1:2]), rtol=1e-4, atol=1e-5)


@every_lifter
def test_bfloat16_is_near(case):
    lifter = fresh(case)
    if any(isinstance(module, torch.nn.LSTM) for module in lifter.modules()) and not has_bfloat16("cpu"):
        pytest.skip("torch has no LSTM in bfloat16 for every processor")
    inputs = keypoints(lifter)
    with torch.autocast("cpu", torch.bfloat16):
        half = lifter(inputs).float()
    exact = lifter(inputs)
    assert (half - exact).norm() < 0.05 * exact.norm()


@every_variant
def test_saved_weights_give_the_same_output(case, tmp_path):
    lifter = fresh(case)
    save_lifter(lifter, tmp_path / "w.safetensors", {"data": "none"})
    loaded = load_weights(tmp_path / "w.safetensors")
    assert loaded.about["data"] == "none"
    assert loaded.lifter.config == lifter.config
    inputs = keypoints(lifter)
    assert torch.equal(loaded.lifter(inputs), lifter(inputs))


@every_variant
def test_clips_of_any_length_go_through_the_window_runner(case):
    lifter = fresh(case)
    rng = np.random.default_rng(0)
    for length in (1, 2, lifter.config.frames, 2 * lifter.config.frames + 4):
        points = rng.uniform(0, 400, (length, len(lifter.layout), 2)).astype(np.float32)
        joints = lift(lifter, points, np.ones(points.shape[:2], np.float32), (400, 300))
        assert joints.shape == (length, len(lifter.layout), 3)
        assert np.isfinite(joints).all()
        assert not joints[:, 0].any()


@every_variant
def test_work_shared_between_windows_changes_nothing(case, monkeypatch):
    lifter = fresh(case)
    points = np.random.default_rng(0).uniform(0, 400, (lifter.config.frames + 6, len(lifter.layout), 2))
    scores = np.ones(points.shape[:2])
    joints = lift(lifter, points, scores, (400, 300))
    # As if every frame depended on its window: one window after the other, from pixels to joints.
    for module in (lifting, window_network):
        monkeypatch.setattr(module, "PER_FRAME", frozenset())
    monkeypatch.setattr(lifting, "_BATCH_FRAMES", 1)
    alone = lift(lifter, points, scores, (400, 300))
    np.testing.assert_allclose(joints, alone, rtol=1e-3, atol=1e-4 * np.abs(alone).max())


@every_lifter
def test_a_mirrored_person_gives_mirrored_joints(case):
    lifter = fresh(case)
    if isinstance(lifter, HypothesisLifter):
        pytest.skip("the noise that poses are drawn from has a left and a right")
    points = np.random.default_rng(0).uniform(0, 400, (7, len(lifter.layout), 2)).astype(np.float32)
    scores = np.ones(points.shape[:2], np.float32)
    order = list(lifter.layout.mirror)
    mirrored = lift(lifter, (points * [-1, 1] + [400, 0])[:, order], scores, (400, 300))
    joints = lift(lifter, points, scores, (400, 300))
    np.testing.assert_allclose(mirrored[:, order] * [-1, 1, 1], joints, rtol=1e-3, atol=1e-4 * np.abs(joints).max())


@every_lifter
def test_compiles(case):
    lifter = fresh(case)
    inputs = keypoints(lifter)
    torch._dynamo.reset()
    # torch.compile leaves nn.LSTM, cuDNN's kernel, as it is, and so compiles what is before and behind it apart.
    whole = not any(isinstance(module, torch.nn.LSTM) for module in lifter.modules())
    compiled = torch.compile(lifter, fullgraph=whole, backend="aot_eager")
    torch.testing.assert_close(compiled(inputs), lifter(inputs), rtol=1e-4, atol=1e-5)


@every_lifter
def test_exports_to_onnx(case):
    onnxruntime = pytest.importorskip("onnxruntime")
    lifter = fresh(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = torch.export.Dim("batch")
        program = torch.onnx.export(lifter, (keypoints(lifter),), dynamo=True, dynamic_shapes=({0: batch},))
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    inputs = keypoints(lifter, batch=3)
    (joints,) = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    expected = lifter(inputs).detach()
    assert (torch.from_numpy(joints) - expected).abs().max() < 1e-4 * expected.abs().max()


@every_lifter
def test_wrong_input_is_named(case):
    lifter = fresh(case)
    good = keypoints(lifter)
    with pytest.raises(VidposeError, match=rf"^{lifter.name}: keypoints of 19 joints, where 17( or 16)? are due"):
        lifter(good.new_zeros(2, good.shape[1], 19, good.shape[3]))
    with pytest.raises(VidposeError, match=rf"keypoints of 5 channels, where {lifter.config.channels} are due"):
        lifter(good.new_zeros(*good.shape[:3], 5))
    with pytest.raises(VidposeError, match=r"shape \(17, 2\), where \(batch, frames, joints, channels\) is due"):
        lifter(torch.zeros(17, 2))
    low, high = lifter.frame_range
    if high is not None:
        with pytest.raises(VidposeError, match=f"a window of {high + 1} frames, where .*{high} are due"):
            lifter(keypoints(lifter, frames=high + 1))
    if low > 1:
        with pytest.raises(VidposeError, match=f"a window of {low - 1} frames, where {low}"):
            lifter(keypoints(lifter, frames=low - 1))
    for bad in (float("nan"), float("inf")):
        broken = good.clone()
        broken[1, 0, 3, 0] = bad
        with pytest.raises(VidposeError, match="NaN or infinite"):
            lifter(broken)


def test_person_normalisation_forgets_place_and_size():
    points = torch.randn(2, 9, 17, 2, generator=torch.Generator().manual_seed(0))
    scored = torch.cat([points, torch.ones(2, 9, 17, 1)], dim=-1)
    moved = scored.clone()
    moved[..., :2] = 37 * scored[..., :2] + 500
    person = NORMALISATIONS["person"]
    torch.testing.assert_close(person(moved, (640, 480)), person(scored, (1920, 1080)), rtol=1e-3, atol=1e-3)
    assert person(scored, (1, 1))[:, :, 0, :2].abs().max() == 0


@pytest.mark.parametrize("layout", ["h36m17", "mpi-inf-3dhp17", "humaneva15"])
def test_person_normalisation_is_about_the_layouts_root(layout):
    lifter = create_lifter("mixste", **lifter_class("mixste").tiny, layout=layout, normalisation="person")
    points = torch.rand(1, 9, len(lifter.layout), 3) + 1
    pelvis = lifter.layout.index("pelvis")
    normalised = lifter.normalise(points, (640, 480))
    assert normalised[:, :, pelvis].abs().max() == 0
    points[:, 4, pelvis] = float("nan")
    centred = lifter.normalise(points, (640, 480))[0, 4].sum(dim=0)
    assert centred.abs().max() < 1e-4


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
        ({"arch": "resnet"}, "unknown lifter 'resnet'; known are "),
        ({"config": {"width": 32, "depth": 1}}, "do not fit single-branch"),
        ({"config": {"width": "wide"}}, "do not fit single-branch"),
        ({"config": {"width": 10**9}}, "width is 1000000000"),
        ({"config": {"depth": 10**9}}, "depth is 1000000000"),
        ({"config": {"depth": -1}}, "depth is -1"),
        ({"config": {"heads": 7}}, "heads=7: no network is like that"),
        ({"config": {"dropout": 1e308}}, "dropout is 1e"),
        ({"config": {"normalisation": "none"}}, "normalisation one of"),
        ({"config": {"width": 16384, "depth": 256}}, "make .* parameters"),
        ({"config": 3}, "config is 3"),
        ({"arch": ["mixste"]}, "arch is"),
        ({"layout": "coco17"}, "layout 'coco17'"),
        ({"format": "other"}, "of a other, where a vidpose-lifter is due"),
        ({"format_version": 99}, "newer vidpose"),
        ({"format_version": "1"}, "format_version is '1'"),
    ],
)
def test_a_wrong_header_is_one_line(saved, changes, message):
    rewrite(saved, **changes)
    with pytest.raises(VidposeError, match=message) as caught:
        load_lifter(saved)
    assert "\n" not in str(caught.value)
    assert str(saved) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, name: tensors[name].view(-1)[0].fill_(torch.nan), "not finite"),
        (lambda tensors, name: tensors[name].view(-1)[-1].fill_(torch.inf), "not finite"),
        (lambda tensors, name: tensors.pop(name), "is missing"),
        (lambda tensors, name: tensors.update({name: tensors[name][..., None].contiguous()}), "is due"),
        (lambda tensors, name: tensors.update({name: tensors[name].long()}), "int64"),
        (lambda tensors, name: tensors.update(more=torch.zeros(1)), "'more' is not one"),
    ],
)
def test_tensors_that_are_not_the_networks_are_refused(saved, change, message):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(saved, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(saved)
    change(tensors, next(name for name, tensor in tensors.items() if tensor.is_floating_point()))
    save_file(tensors, saved, metadata=metadata)
    with pytest.raises(VidposeError, match=f"do not fit .*{message}") as caught:
        load_lifter(saved)
    assert "\n" not in str(caught.value)


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
    from vidpose.lifters import zoo
    from vidpose.weights import shipped as shipping

    entry = shipping.ShippedWeights(saved.name, "0" * 64)
    monkeypatch.setattr(zoo, "ZOO", {"single-branch": replace(zoo.ZOO["single-branch"], weights=entry)})
    monkeypatch.setattr(shipping, "shipped", lambda kind: tmp_path)
    with pytest.raises(VidposeError, match=r"damaged .sha256 .*expected 00000000"):
        load_lifter("single-branch")
