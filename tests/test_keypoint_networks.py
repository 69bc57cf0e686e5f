"""What every registered 2D keypoint network must do, and what public implementations of them gave.

`data/keypoints` has their parameters' names and shapes and every fourth row and column of their heatmaps, for weights
made by `keypoint_weights` and normal noise as input. HRNet and hourglass were recorded from mmpose 1.3.2, CPN and the
authors' hourglass from the PyTorch implementations that their files name.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from keypoint_weights import recorded_shapes, weights
from safetensors.torch import load_file, save_file

from vidpose.common.errors import UsageError, VidposeError
from vidpose.keypoints.keypoint_network import (
    KeypointNetwork,
    create_network,
    load_network,
    network_class,
    network_names,
)

DATA = Path(__file__).parent / "data" / "keypoints"

every_network = pytest.mark.parametrize("name", network_names())


def tiny(name: str, **settings) -> KeypointNetwork:
    torch.manual_seed(0)
    return create_network(name, **{**network_class(name).tiny, **settings}).eval()


def crops(network: KeypointNetwork, batch: int = 2) -> torch.Tensor:
    size = 2 * network.multiple, network.multiple
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


@every_network
@pytest.mark.parametrize("layout", ["coco17", "mpii16"])
def test_every_prediction_has_a_heatmap_a_joint_at_a_quarter_of_the_size(name, layout):
    network = tiny(name, layout=layout)
    inputs = crops(network)
    predictions = network.predictions(inputs)
    for heatmaps in predictions:
        assert heatmaps.shape == (2, int(layout[-2:]), inputs.shape[2] // 4, inputs.shape[3] // 4)
        assert heatmaps.isfinite().all()
    assert torch.equal(network(inputs), predictions[-1])


@every_network
def test_every_parameter_in_use_gets_a_gradient(name):
    network = tiny(name)
    sum(heatmaps.square().sum() for heatmaps in network.predictions(crops(network))).backward()
    without = [k for k, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not without


@every_network
def test_parameters_that_require_no_gradient_are_not_in_use(name):
    network = tiny(name, stacks=1) if "stacks" in asdict(network_class(name).Config()) else tiny(name)
    inputs = crops(network)
    before = network(inputs)
    for parameter in network.parameters():
        if not parameter.requires_grad:
            parameter.data.fill_(float("nan"))
    assert torch.equal(network(inputs), before)


@every_network
def test_a_training_step_lowers_the_loss(name):
    network = tiny(name).train()
    inputs = crops(network, 4)
    targets = torch.rand_like(network(inputs))
    optimiser = torch.optim.Adam((p for p in network.parameters() if p.requires_grad), 1e-2)
    losses = []
    for _ in range(10):
        loss = sum((heatmaps - targets).square().mean() for heatmaps in network.predictions(inputs))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


@every_network
def test_batch_elements_are_independent(name):
    network = tiny(name)
    inputs = crops(network, 3)
    torch.testing.assert_close(network(inputs)[1:2], network(inputs[1:2]), rtol=1e-4, atol=1e-5)


@every_network
def test_saved_weights_and_settings_give_the_same_output(name, tmp_path):
    network = tiny(name, layout="mpii16")
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    settings = json.loads(json.dumps(asdict(network.config)))
    again = create_network(name, **settings).eval()
    again.load_state_dict(load_file(tmp_path / "w.safetensors"))
    assert again.config == network.config
    assert torch.equal(again(crops(network)), network(crops(network)))


@every_network
@pytest.mark.parametrize("layout", ["coco17", "mpii16"])
def test_the_tensors_tell_the_settings(name, layout):
    network = tiny(name, layout=layout)
    loaded = load_network(name, network.state_dict())
    assert loaded.config == network.config
    assert not loaded.training
    assert torch.equal(loaded(crops(network)), network(crops(network)))


@every_network
def test_foreign_tensors_are_one_line(name):
    state = tiny(name).state_dict()
    with pytest.raises(VidposeError, match=f"^not weights of {name}: there is no "):
        load_network(name, {"x": torch.zeros(1)})
    some = [key for key in state if key.endswith("conv1.weight") or key.endswith("conv1.conv.weight")][-1]
    with pytest.raises(VidposeError, match=f"^not weights of {name} .*{some}") as caught:
        load_network(name, {k: t for k, t in state.items() if k != some})
    assert "\n" not in str(caught.value)
    with pytest.raises(VidposeError, match=f"{some} is .* is due"):
        load_network(name, state | {some: state[some][1:]})
    with pytest.raises(VidposeError, match=r"19 joints, where 17 .coco17. or 16 .mpii16. are known"):
        load_network(name, {k: t.new_zeros(19, *t.shape[1:]) if len(t.shape) and len(t) == 17 else t for k, t in
                            tiny(name, layout="coco17").state_dict().items()})  # fmt: skip


def test_unknown_names_and_settings_are_usage_errors():
    with pytest.raises(UsageError, match=r"unknown keypoint network 'hrnet'.*hrnet-w32, hrnet-w48"):
        create_network("hrnet")
    with pytest.raises(UsageError, match="no setting wdith"):
        create_network("cpn", wdith=3)
    with pytest.raises(UsageError, match="unknown joint layout 'coco'"):
        create_network("cpn", layout="coco")


@pytest.mark.parametrize(
    ("file", "name", "size"),
    [
        ("hrnet-w4", "hrnet-w32", (256, 192)),
        ("hourglass52-c16", "hourglass", (256, 256)),
        ("hourglass-newell-2x16", "hourglass-newell", (256, 256)),
        ("hrnet-w32", "hrnet-w32", (256, 192)),
        ("hourglass52", "hourglass", (256, 256)),
        ("cpn", "cpn", (256, 192)),
    ],
)
def test_public_implementations_give_the_same_heatmaps(file, name, size):
    with np.load(DATA / f"{file}.npz") as recorded:
        keys, expected = recorded["keys"], recorded["heatmaps"]
    network = load_network(name, weights(recorded_shapes(keys)))
    noise = np.round(np.random.RandomState(0).standard_normal((1, 3, *size)) * 64) / 64
    with torch.inference_mode():
        heatmaps = network(torch.from_numpy(noise.astype(np.float32)))
    assert np.abs(heatmaps.numpy()[..., ::4, ::4] - expected).max() < 1e-4


@pytest.mark.parametrize(("file", "name"), [("hrnet-w32", "hrnet-w32"), ("hourglass52", "hourglass"), ("cpn", "cpn")])
def test_full_networks_have_the_public_parameters(file, name):
    with np.load(DATA / f"{file}.npz") as recorded:
        expected = recorded_shapes(recorded["keys"])
    with torch.device("meta"):
        network = create_network(name)
    assert list((key, tuple(tensor.shape)) for key, tensor in network.state_dict().items()) == list(expected.items())
    assert network_class(name).infer_config(network.state_dict()) == asdict(network.config)


@pytest.mark.parametrize(
    ("name", "millions"),
    # HRNet: table 1 of the paper; hourglass 52: mmpose's model zoo counts 94.85.
    [("hrnet-w32", 28.5), ("hrnet-w48", 63.6), ("hourglass", 94.8)],
)
def test_sizes_are_those_of_the_papers(name, millions):
    with torch.device("meta"):
        network = create_network(name)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


def test_all_exchange_units_but_the_last_serve_every_branch():
    with torch.device("meta"):
        backbone = create_network("hrnet-w32", bottlenecks=2, blocks=1, units=(1, 2, 2)).backbone
    stages = backbone.stage2, backbone.stage3, backbone.stage4
    assert [[len(unit.fuse_layers) for unit in stage] for stage in stages] == [[2], [3, 3], [4, 1]]


def test_a_second_stack_adds_what_joins_it_to_the_first():
    with torch.device("meta"):
        one, two = (create_network("hourglass", stacks=stacks).state_dict().keys() for stacks in (1, 2))
    assert one < two
    assert {key.rsplit(".", 1)[0] for key in two - one if "hourglass_modules.1." not in key} == {
        "backbone.conv1x1s.0.conv", "backbone.conv1x1s.0.bn", "backbone.out_convs.1.conv", "backbone.out_convs.1.bn",
        "backbone.remap_convs.0.conv", "backbone.remap_convs.0.bn", "head.multi_final_layers.1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "rename"),
    [
        ("hrnet-w32", lambda key: key.removeprefix("backbone.").removeprefix("head.")),
        ("hrnet-w32", lambda key: key.replace("head.", "keypoint_head.")),
        ("hourglass", lambda key: key.replace("head.", "keypoint_head.")),
        ("hourglass-newell", lambda key: f"model.module.{key}"),
    ],
    ids=["hrnet authors", "hrnet mmpose 0", "hourglass mmpose 0", "newell authors"],
)
def test_other_names_of_the_same_parameters_are_known(name, rename):
    network = tiny(name)
    loaded = load_network(name, {rename(key): tensor for key, tensor in network.state_dict().items()})
    assert torch.equal(loaded(crops(network)), network(crops(network)))


def test_what_mmpose_stores_beside_the_weights_is_left_out():
    network = tiny("hrnet-w32")
    beside = {"data_preprocessor.mean": torch.zeros(3, 1, 1), "data_preprocessor.std": torch.ones(3, 1, 1)}
    assert load_network("hrnet-w32", beside | network.state_dict()).config == network.config
