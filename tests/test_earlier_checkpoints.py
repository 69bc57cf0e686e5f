"""Released checkpoints that nothing is recorded of: their networks are computed once more, step by step, as they are
described in `vidpose/lifters`.
"""

import json
from pathlib import Path

import pytest
import torch
from test_published_sizes import PUBLISHED, weights
from torch.nn.functional import conv2d, embedding, gelu, layer_norm, linear

from vidpose.cli import cli
from vidpose.lifters import Lifter, create_lifter, lifter_class
from vidpose.lifters.gla_gcn import skeleton_graphs
from vidpose.lifters.importing import import_lifter
from vidpose.lifters.zoo import load_lifter
from vidpose.weights.untrusted import read_checkpoint

GOLDEN = Path(__file__).parent / "data" / "lifters"


def imported(tmp_path: Path, tensors: dict[str, torch.Tensor], arch: str) -> Lifter:
    torch.save({"model_pos": tensors}, tmp_path / "c.bin")
    return import_lifter(tmp_path / "c.bin", arch)


def stcformer_of_3dhp(width: int = 32, heads: int = 2, blocks: int = 2) -> dict[str, torch.Tensor]:
    half = width // 2
    shapes = {"pose_emb.weight": (width, 2), "pose_lift.weight": (3, width)}
    for block in range(blocks):
        of_block = {
            "cross_att.qkv.weight": (3 * width, width), "cross_att.qkv.bias": (3 * width,),
            "cross_att.layer_norm.weight": (width,), "cross_att.layer_norm.bias": (width,),
            "cross_att.proj.weight": (width, width), "cross_att.proj.bias": (width,),
            "cross_att.gate_t.weight": (half, 1, 3, 3), "cross_att.gate_t.bias": (half,),
            "cross_att.gate_s.weight": (half, 1, 3, 3), "cross_att.gate_s.bias": (half,),
            "cross_att.emb.weight": (20, half // heads),
            "layer_norm1.weight": (width,), "layer_norm1.bias": (width,),
            "layer_norm2.weight": (width,), "layer_norm2.bias": (width,),
            "mlp1.fc1.weight": (4 * width, width), "mlp1.fc2.weight": (width, 4 * width),
        }  # fmt: skip
        shapes |= {f"mlpmixer.mixerblocks.{block}.{key}": shape for key, shape in of_block.items()}
    generator = torch.Generator().manual_seed(4)
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def stcformer_by_hand(w: dict[str, torch.Tensor], keypoints_BTJ2: torch.Tensor, heads: int = 2) -> torch.Tensor:
    """Row by row of the channels: `qkv` has q, k and v in turn; its first half is for joints, the other for time."""
    x = gelu(linear(keypoints_BTJ2, w["pose_emb.weight"]))
    width = x.shape[-1]
    part_J = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 0, 0, 0])
    for block in range(2):
        p = {k.split(".", 3)[3]: v for k, v in w.items() if k.startswith(f"mlpmixer.mixerblocks.{block}.")}
        normal = layer_norm(x, (width,), p["cross_att.layer_norm.weight"], p["cross_att.layer_norm.bias"])
        qkv = linear(normal, p["cross_att.qkv.weight"], p["cross_att.qkv.bias"])
        halves = []
        for axis, name, channels in (("j", "gate_s", slice(0, width // 2)), ("t", "gate_t", slice(width // 2, width))):
            q, k, v = (qkv[..., turn::3][..., channels] for turn in range(3))
            by_head = []
            for q_h, k_h, v_h in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True):
                if axis == "j":
                    scores = torch.einsum("btic,btjc->btij", q_h, k_h) * width**-0.5
                    by_head.append(torch.einsum("btij,btjc->btic", scores.softmax(-1), v_h))
                else:
                    scores = torch.einsum("bsjc,btjc->bjst", q_h, k_h) * width**-0.5
                    by_head.append(torch.einsum("bjst,btjc->bsjc", scores.softmax(-1), v_h))
            weight, bias = p[f"cross_att.{name}.weight"], p[f"cross_att.{name}.bias"]
            local = conv2d(v.permute(0, 3, 1, 2), weight, bias, padding=1, groups=width // 2).permute(0, 2, 3, 1)
            halves.append([a + b for a, b in zip(by_head, local.chunk(heads, -1), strict=True)])
        parts_JC = 1e-4 * embedding(part_J, p["cross_att.emb.weight"])
        both = torch.cat([part for s, t in zip(*halves, strict=True) for part in (s + parts_JC, t)], dim=-1)
        x = x + linear(both, p["cross_att.proj.weight"], p["cross_att.proj.bias"])
        inner = layer_norm(x, (width,), p["layer_norm1.weight"], p["layer_norm1.bias"])
        x = x + linear(gelu(linear(inner, p["mlp1.fc1.weight"])), p["mlp1.fc2.weight"])
    return linear(x, w["pose_lift.weight"])


def test_stcformers_network_of_mpi_inf_3dhp(tmp_path):
    lifter = imported(tmp_path, stcformer_of_3dhp(), "stcformer")
    assert (lifter.layout.name, lifter.config.heads) == ("mpi-inf-3dhp17", 2)
    keypoints = torch.randn(2, 9, 17, 2, generator=torch.Generator().manual_seed(1))
    expected = stcformer_by_hand(stcformer_of_3dhp(), keypoints)
    with torch.inference_mode():
        assert (lifter(keypoints) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_gla_gcns_graph_of_humaneva():
    # From, to, in the authors' numbers, which begin with 1.
    bones = [(15, 2), (2, 3), (3, 4), (4, 5), (2, 6), (6, 7), (7, 8), (2, 1), (1, 12), (12, 13), (13, 14), (1, 9),
             (9, 10), (10, 11)]  # fmt: skip
    inward = torch.zeros(15, 15)
    for start, end in bones:
        inward[end - 1, start - 1] = 1
    outward = inward.T.clone()
    lifter = create_lifter("gla-gcn", **lifter_class("gla-gcn").tiny, layout="humaneva15")
    for got, links in zip(lifter.expand.spatial.skeleton[1:], (inward, outward), strict=True):
        torch.testing.assert_close(got, links / links.sum(dim=0).clamp_min(1))
    assert not torch.equal(skeleton_graphs(lifter.layout.parents), lifter.expand.spatial.skeleton)


def test_gla_gcns_network_of_humaneva_for_mask_rcnn(tmp_path):
    # Their list once more, without two bones.
    bones = [(15, 2), (3, 4), (4, 5), (2, 3), (6, 7), (7, 8), (2, 1), (1, 12), (12, 13), (13, 14), (9, 10), (10, 11)]
    inward = torch.zeros(15, 15)
    for start, end in bones:
        inward[end - 1, start - 1] = 1
    shapes = json.loads((PUBLISHED / "gla-gcn-27" / "keys.json").read_text())["shapes"]
    fewer = {34: 30, 17: 15}
    tensors = weights({key: shape and [fewer.get(size, size) for size in shape] for key, shape in shapes.items()})
    torch.save({"model_pos": tensors}, tmp_path / "c.bin")
    out = tmp_path / "w.safetensors"
    settings = ('unlinked=["right_shoulder","left_hip"]', "normalise_input=false")
    words = ["weights", "import", tmp_path / "c.bin", "--arch", "gla-gcn", "--out", out]
    cli.main([*map(str, words), *(word for one in settings for word in ("--set", one))], standalone_mode=False)
    lifter = load_lifter(out)
    for got, links in zip(lifter.expand.spatial.skeleton[1:], (inward, inward.T), strict=True):
        torch.testing.assert_close(got, links / links.sum(dim=0).clamp_min(1))
    whole = import_lifter(tmp_path / "c.bin", "gla-gcn")
    keypoints = torch.randn(1, 27, 15, 2, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert (lifter(keypoints) - whole(keypoints)).abs().max() > 1e-3
        # The same network, with a normalisation that does nothing, and the two bones taken out of its graphs.
        whole.input_norm = torch.nn.Identity()
        for module in whole.modules():
            if hasattr(module, "skeleton"):
                module.skeleton.copy_(lifter.expand.spatial.skeleton)
        torch.testing.assert_close(lifter(keypoints), whole(keypoints))


def test_checkpoints_of_a_pytorch_that_did_not_count_batches(tmp_path):
    tensors = read_checkpoint(GOLDEN / "videopose3d" / "ckpt.pt")
    old = {key: tensor for key, tensor in tensors.items() if not key.endswith("num_batches_tracked")}
    assert len(old) < len(tensors)
    expected = import_lifter(GOLDEN / "videopose3d" / "ckpt.pt", "videopose3d").state_dict()
    for key, tensor in imported(tmp_path, old, "videopose3d").state_dict().items():
        assert key.endswith("num_batches_tracked") or torch.equal(tensor, expected[key])


def test_martinez_of_humaneva_and_networks_that_see_a_detectors_joints(tmp_path):
    tensors = read_checkpoint(GOLDEN / "martinez_pytorch" / "ckpt.pt")
    fewer = {"w1.weight": (slice(None), slice(28)), "w2.weight": slice(42), "w2.bias": slice(42)}
    lifter = imported(tmp_path, tensors | {key: tensors[key][rows] for key, rows in fewer.items()}, "martinez")
    assert lifter.layout.name == "humaneva15"
    assert lifter(torch.rand(1, 1, 15, 2)).shape == (1, 1, 15, 3)
    tensors = read_checkpoint(GOLDEN / "videopose3d" / "ckpt.pt")
    fewer = {"shrink.weight": slice(45), "shrink.bias": slice(45)}
    lifter = imported(tmp_path, tensors | {key: tensors[key][rows] for key, rows in fewer.items()}, "videopose3d")
    assert (lifter.input_layout.name, lifter.layout.name) == ("coco17", "humaneva15")


@pytest.mark.parametrize(("settings", "fps"), [({}, 50), ({"layout": "mpi-inf-3dhp17"}, 0), ({"fps": 25}, 25)])
def test_imported_lifters_know_the_frame_rate_of_their_data(settings, fps):
    assert import_lifter(GOLDEN / "mixste" / "ckpt.pt", "mixste", settings).config.fps == fps
    assert import_lifter(GOLDEN / "martinez_pytorch" / "ckpt.pt", "martinez").config.fps == 0


def videopose3d_in_mmpose(key: str) -> str:
    """A tensor of the authors' temporal model, as mmpose's TCN and TemporalRegressionHead call it."""
    first, *rest = key.split(".")
    if first == "shrink":
        return ".".join(["head.conv", *rest])
    if first.startswith("expand"):
        return ".".join(["backbone.expand_conv", first.removeprefix("expand_"), *rest])
    block, part = divmod(int(rest[0]), 2)
    return ".".join([f"backbone.tcn_blocks.{block}.conv{part + 1}.0", first.removeprefix("layers_"), *rest[1:]])


def motionbert_in_mmpose(key: str) -> str:
    """A tensor of the authors' DSTformer, as mmpose's DSTFormer and MotionRegressionHead call it."""
    if key.startswith("head."):
        return key.replace("head.", "head.fc.")
    if key.startswith("pre_logits."):
        return f"head.{key}"
    parts = key.split(".")
    if parts[0] == "pos_embed":
        parts[0] = "spat_embed"
    if parts[0] == "ts_attn":
        parts[0] = "attn_regress"
    if "mlp" in key:
        parts[3] = {"fc1": "0", "fc2": "2"}[parts[3]]
    return ".".join(["backbone", *parts])


@pytest.mark.parametrize(
    ("arch", "name_in_mmpose"), [("videopose3d", videopose3d_in_mmpose), ("motionbert", motionbert_in_mmpose)]
)
def test_mmposes_names_of_the_same_network(arch, name_in_mmpose, tmp_path):
    theirs = read_checkpoint(GOLDEN / arch / "ckpt.pt")
    renamed = {name_in_mmpose(key): tensor for key, tensor in theirs.items()}
    assert renamed.keys().isdisjoint(theirs)
    torch.save({"meta": {"epoch": 3}, "state_dict": renamed}, tmp_path / "mmpose.pth")
    lifter, right = import_lifter(tmp_path / "mmpose.pth", arch), import_lifter(GOLDEN / arch / "ckpt.pt", arch)
    assert lifter.config == right.config
    assert lifter.state_dict().keys() == right.state_dict().keys()
    for key, tensor in right.state_dict().items():
        assert torch.equal(lifter.state_dict()[key], tensor), key
