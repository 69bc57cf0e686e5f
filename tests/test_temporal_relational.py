"""The networks that see clips: what they compute, what they must not look at, what they cost, and what they refuse."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from clip_networks import stirred
from safetensors.torch import load_file, save_file
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.swin_transformer import SwinTransformer, SwinTransformerBlock
from torchvision.models.vision_transformer import vit_b_16

from vidpose.common.errors import UsageError, VidposeError
from vidpose.keypoints.clips.clip_network import clip_network_names, create_clip_network, regression_loss
from vidpose.keypoints.clips.cropped_swin import KeptWindows
from vidpose.keypoints.clips.temporal_relational import TemporalRelational

every_network = pytest.mark.parametrize("name", clip_network_names())
SIZE = 64


def clip(views: int = 4, frames: int = 4, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, views, frames, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("views", [1, 2, 3, 4])
@pytest.mark.parametrize("frames", [1, 8, 32, 128])
def test_every_picture_gets_every_joint_and_moves_every_parameter(frames, views):
    network = stirred(frames=frames, views=views)
    points, logits = network(clip(views, frames))
    assert points.shape == (1, views, frames, 17, 2)
    assert logits.shape == (1, views, frames, 17)
    (points.square().sum() + logits.square().sum()).backward()
    assert not [key for key, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    # A patch that is dropped, and its position, moves nothing.
    assert not [key for key, p in network.named_parameters() if not p.grad.any()]


@every_network
def test_the_layout_and_the_settings_are_those_that_were_asked_for(name, tmp_path):
    network = stirred(name, layout="coco17")
    inputs = clip(network.views, network.frames)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    again = create_clip_network(name, **json.loads(json.dumps(asdict(network.config)))).eval()
    again.load_state_dict(load_file(tmp_path / "w.safetensors"))
    assert again.config == network.config
    assert again.layout.name == "coco17"
    assert again.processing.input_size == (SIZE, SIZE)
    for ours, theirs in zip(network(inputs), again(inputs), strict=True):
        assert torch.equal(ours, theirs)


def test_full_networks_have_the_sizes_that_are_known():
    with torch.device("meta"):
        networks = {name: create_clip_network(name) for name in clip_network_names()}
    millions = {name: sum(p.numel() for p in network.parameters()) / 1e6 for name, network in networks.items()}
    # ViT-B 85.8 and ViT-S 21.7 without their classifiers; Swin-T has 28.3 with its own of 0.77.
    assert millions["vit-b"] == pytest.approx(85.8, abs=0.1)
    assert millions["vit-s"] == pytest.approx(21.7, abs=0.1)
    swin = networks["temporal-relational"].spatial.swin
    assert sum(p.numel() for p in swin.parameters()) / 1e6 == pytest.approx(28.29 - 0.77, abs=0.01)
    assert networks["temporal-relational"].head.in_features == 768


def test_views_may_change_places_together_with_their_embeddings():
    network, inputs, order = stirred(), clip(), [2, 0, 3, 1]
    points, logits = network(inputs)
    elsewhere, _ = network(inputs[:, order])
    network.space.places.data = network.space.places.data[order]
    moved_points, moved_logits = network(inputs[:, order])
    torch.testing.assert_close(moved_points, points[:, order], rtol=0, atol=1e-5)
    torch.testing.assert_close(moved_logits, logits[:, order], rtol=0, atol=1e-5)
    assert (elsewhere - points[:, order]).abs().max() > 1e-4


@pytest.mark.parametrize(("view", "frame"), [(0, 3), (2, 0), (2, 3)])
def test_every_picture_has_a_say_in_every_other(view, frame):
    network, inputs = stirred(), clip()
    changed = inputs.clone()
    changed[:, view, frame] += 1
    moved = (network(changed)[0] - network(inputs)[0]).abs().amax(dim=(0, 3, 4))
    assert moved[0, 0] > 1e-6


def test_without_relations_pictures_are_looked_at_one_by_one():
    network, inputs = stirred(relations=False), clip()
    points, _ = network(inputs)
    alone = torch.stack([network(inputs[:, 2:3, frame : frame + 1])[0][:, 0, 0] for frame in range(4)], dim=1)
    torch.testing.assert_close(points[:, 2], alone, rtol=0, atol=1e-6)
    assert network.time is None
    assert network.space is None
    assert stirred(frames=1).time is None
    assert stirred(views=1).space is None


class TestMissing:
    def test_what_is_missing_is_not_looked_at(self):
        network, inputs = stirred(), clip()
        present = torch.ones(1, 4, 4, dtype=torch.bool)
        present[0, 1], present[0, 3, :2] = False, False
        points, logits = network(inputs, present)
        inputs[~present] = torch.nan
        other_points, other_logits = network(inputs, present)
        assert torch.equal(points[present], other_points[present])
        assert torch.equal(logits[present], other_logits[present])

    def test_a_missing_last_view_is_as_if_there_were_one_less(self):
        network, inputs = stirred(), clip()
        present = torch.ones(1, 4, 4, dtype=torch.bool)
        present[:, 3] = False
        with_gap, three = network(inputs, present)[0], network(inputs[:, :3])[0]
        torch.testing.assert_close(with_gap[:, :3], three, rtol=0, atol=1e-5)
        assert (network(inputs)[0][:, :3] - three).abs().max() > 1e-4

    def test_missing_last_frames_are_as_if_the_clip_were_shorter(self):
        network, inputs = stirred(), clip()
        present = torch.ones(1, 4, 4, dtype=torch.bool)
        present[:, :, 3] = False
        torch.testing.assert_close(network(inputs, present)[0][:, :, :3], network(inputs[:, :, :3])[0],
                                   rtol=0, atol=1e-5)  # fmt: skip

    def test_gradients_are_finite_where_whole_views_and_moments_are_missing(self):
        network = stirred().train()
        present = torch.ones(2, 4, 4, dtype=torch.bool)
        present[0, 1], present[1, :, 2] = False, False
        points, logits = network(clip(batch=2), present)
        truth = torch.full_like(points, torch.nan)
        truth[present] = 0.3
        regression_loss(points, logits, truth, present[..., None].expand(logits.shape).float()).backward()
        assert all(p.grad.isfinite().all() for p in network.parameters())


class TestCropping:
    def test_a_keep_ratio_of_one_is_no_cropping_bit_for_bit(self):
        spatial, crops = stirred(keep_ratio=1.0).spatial, clip()[0, 0]
        plain = spatial.swin.norm(spatial.swin.features(crops)).flatten(1, 2)
        cells = torch.arange(spatial.side**2).expand(len(crops), -1)
        assert torch.equal(spatial(crops), spatial.aggregation(plain, cells))

    @pytest.mark.parametrize("settings", [{}, {"size": 128, "window": 4, "depths": (1, 1, 5, 2)}])
    def test_the_cropped_way_with_everything_kept_is_torchvisions_swin(self, settings):
        # Almost one: every cell is kept, but by the way that crops.
        whole, cropped = (stirred(keep_ratio=ratio, **settings).spatial for ratio in (1.0, 1 - 1e-9))
        crops = torch.randn(2, 3, settings.get("size", SIZE), settings.get("size", SIZE))
        assert cropped.kept == cropped.side**2
        torch.testing.assert_close(cropped(crops), whole(crops), rtol=0, atol=1e-5)

    @pytest.mark.parametrize("shift", [0, 2])
    def test_kept_patches_attend_to_those_kept_in_their_window(self, shift):
        torch.manual_seed(0)
        block = SwinTransformerBlock(8, 2, [4, 4], [shift, shift]).eval()
        grid = torch.randn(8, 8, 8)
        kept = torch.randperm(64)[:30].sort().values
        tokens, _ = KeptWindows(8, 4, shift)(block, grid.flatten(0, 1)[None, kept], kept[None])
        assert torch.allclose(tokens[0], self.one_by_one(block, grid, kept.tolist(), shift), atol=1e-5)

    @staticmethod
    def one_by_one(block: SwinTransformerBlock, grid: torch.Tensor, kept: list[int], shift: int) -> torch.Tensor:
        """Each kept patch on its own, as the definition has it."""
        attention, rows = block.attn, []
        q, k, v = attention.qkv(block.norm1(grid)).view(8, 8, 3, 2, 4).unbind(2)

        def window(place: int) -> tuple[int, ...]:
            axes = [((axis - shift) % 8 // 4, axis < shift) for axis in divmod(place, 8)]
            return sum(axes, ())

        for place in kept:
            y, x = divmod(place, 8)
            mates = [divmod(mate, 8) for mate in kept if window(mate) == window(place)]
            bias = torch.stack([attention.relative_position_bias_table[(y - j + 3) * 7 + x - i + 3] for j, i in mates])
            scores = torch.stack([(q[y, x] * k[j, i]).sum(-1) / 2 for j, i in mates]) + bias
            weights = scores.softmax(dim=0)
            attended = sum(weights[n][:, None] * v[j, i] for n, (j, i) in enumerate(mates)).flatten()
            token = grid[y, x] + attention.proj(attended)
            rows.append(token + block.mlp(block.norm2(token)))
        return torch.stack(rows)

    def test_the_highest_marks_are_kept(self):
        spatial, crops = stirred(size=128, keep_ratio=0.3).spatial, torch.randn(3, 3, 128, 128)
        marks = spatial.marks(crops).flatten(1)
        _, kept = spatial._cropped(spatial.swin.features[:5](crops))
        assert kept.shape == (3, round(0.3 * 16))
        for row, cells in zip(marks, kept, strict=True):
            others = [cell for cell in range(16) if cell not in cells]
            assert row[cells].min() >= row[others].max()
        # Two blocks, in each of which the 64 patches give away as much attention as there are patches.
        torch.testing.assert_close(marks.sum(dim=1), torch.full((3,), 128.0))

    def test_a_cell_that_all_look_at_is_marked(self):
        spatial = stirred(size=128, window=4).spatial
        patches = torch.zeros(1, 8, 8, 32)
        patches[0, 2:4, 4:6] = torch.randn(32)
        for block in spatial.swin.features[5][:2]:
            # Queries that all ask for what these patches are, whatever they are themselves; nothing is passed on.
            block.attn.qkv.weight.data = torch.cat([torch.zeros(32, 32), torch.eye(32), torch.zeros(32, 32)])
            block.attn.qkv.bias.data[:32] = 8 * block.norm1(patches[0, 2, 4]).detach()
        _, marks = spatial._marked(patches)
        # In either block all 16 patches of its window give it nearly all their attention.
        assert marks[0].argmax() == 6
        assert 28 < marks[0, 6] <= 32

    def test_the_less_is_kept_the_less_is_computed(self):
        flops = []
        for ratio in (1.0, 0.7, 0.3):
            with FlopCounterMode(display=False) as counter, torch.device("meta"):
                spatial = create_clip_network("temporal-relational", keep_ratio=ratio).spatial
                spatial(torch.empty(1, 3, 224, 224))
            flops.append(counter.get_total_flops())
        # Swin-T's 4.5 GMAC: the marks cost little, and what comes after them is half of it all.
        assert flops[0] / 2e9 == pytest.approx(4.5, abs=0.1)
        assert 0.6 * flops[0] < flops[2] < 0.75 * flops[0]
        assert 0.8 * flops[0] < flops[1] < 0.9 * flops[0]


def test_beyond_the_spatial_module_memory_and_work_grow_with_the_frames_and_no_faster():
    saved, flops = [], []
    for frames in (32, 64, 96, 128):
        network = stirred(frames=128, layers=2, views=2).train()
        tokens = torch.randn(1, 2, frames, 64, requires_grad=True)
        counted = [0]

        def count(tensor: torch.Tensor, counted: list[int] = counted) -> torch.Tensor:
            counted[0] += tensor.numel()
            return tensor

        present = torch.ones(1, 2, frames, dtype=torch.bool)
        with saved_tensors_hooks(count, lambda tensor: tensor), FlopCounterMode(display=False) as counter:
            network.decode(tokens, present)
        saved.append(counted[0])
        flops.append(counter.get_total_flops())
    steps = np.diff(saved)
    assert (steps == steps[0]).all(), saved
    # Work has a square too, of what attention compares; with a token a picture it is small beside the rest.
    work = np.diff(flops)
    assert (np.diff(work) == np.diff(work)[0]).all()
    assert work[-1] < 1.5 * work[0]


def test_imagenet_weights_go_where_they_were_trained_for():
    network = create_clip_network(
        "temporal-relational", size=64, window=2, depths=(1, 1, 1, 1), layers=1, views=1, keep_ratio=1.0
    ).eval()
    torch.manual_seed(1)
    swin = SwinTransformer([4, 4], 96, [1, 1, 1, 1], [3, 6, 12, 24], [2, 2]).eval()
    vit = vit_b_16().eval()
    vit.encoder.layers[0].mlp[3].bias.data.normal_()
    network.start_from(swin.state_dict(), vit.state_dict())
    crops, tokens = clip()[0, 0], torch.randn(2, 5, 768)
    assert torch.equal(
        network.spatial.swin(crops), swin.avgpool(swin.permute(swin.norm(swin.features(crops)))).flatten(1)
    )
    torch.testing.assert_close(network.time.layers[0](tokens), vit.encoder.layers[0](tokens), rtol=0, atol=1e-4)
    with pytest.raises(VidposeError, match=r"^not weights that temporal-relational can start from \(.*SwinTransformer"):
        stirred().start_from(swin.state_dict(), vit.state_dict())


class TestLoss:
    def test_it_is_the_mean_distance_along_the_axes_of_what_is_annotated(self):
        truth = torch.rand(1, 1, 2, 3, 2)
        points = truth + torch.tensor([0.1, -0.3])
        weights = torch.tensor([[1.0, 1, 0], [1, 0, 0]])[None, None]
        truth[weights == 0] = torch.nan
        confident = torch.full((1, 1, 2, 3), -20.0)  # their points are 6 deviations off
        assert regression_loss(points, confident, truth, weights).item() == pytest.approx(0.2, abs=1e-4)
        assert regression_loss(points, confident, truth, torch.zeros_like(weights)) == 0

    def test_scores_become_what_the_points_deserve(self):
        offsets = torch.tensor([0.0, 0.05, 0.1, 0.5])
        truth = torch.zeros(1, 1, 1, 4, 2)
        points = torch.stack([offsets, torch.zeros(4)], dim=-1)[None, None, None]
        logits = torch.zeros(1, 1, 1, 4, requires_grad=True)
        optimiser = torch.optim.Adam([logits], 0.1)
        for _ in range(300):
            optimiser.zero_grad()
            regression_loss(points, logits, truth, torch.ones(1, 1, 1, 4)).backward()
            optimiser.step()
        expected = np.exp([0, -0.5, -2, -50])
        np.testing.assert_allclose(logits.sigmoid().detach()[0, 0, 0], expected, atol=0.03)


def test_before_training_pictures_have_no_say_in_each_other():
    torch.manual_seed(0)
    network = create_clip_network("temporal-relational", **TemporalRelational.tiny).eval()
    inputs = clip()
    other = inputs.clone()
    other[:, 1:, 1:] = 0
    torch.testing.assert_close(network(inputs)[0][:, 0, 0], network(other)[0][:, 0, 0])


def test_a_clip_is_learned_to_less_than_two_pixels():
    torch.manual_seed(0)
    settings = {**TemporalRelational.tiny, "frames": 8, "views": 2, "layers": 2}
    network = create_clip_network("temporal-relational", **settings)
    inputs = clip(2, 8)
    truth = 0.1 + 0.8 * torch.rand(1, 2, 8, 17, 2)
    optimiser = torch.optim.AdamW(network.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 200)
    for _ in range(200):
        points, logits = network(inputs)
        optimiser.zero_grad()
        regression_loss(points, logits, truth, torch.ones_like(logits)).backward()
        optimiser.step()
        schedule.step()
    points, logits = network.eval()(inputs)
    pixels = 224 * (points - truth).norm(dim=-1)
    assert pixels.mean() < 2
    assert logits.sigmoid().mean() > 0.65


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames": 0}, "frames is 0; it must be at least 1"),
        ({"keep_ratio": 0.0}, "keep_ratio is 0.0; it must be more than 0"),
        ({"keep_ratio": 1.5}, "keep_ratio is 1.5; it must be at most 1"),
        ({"depths": (1, 1, 1, 1)}, r"1 block in stage 3; cropping needs 2, or keep_ratio = 1"),
        ({"size": 96}, "crops of 96 pixels; a multiple of 64 is due"),
        ({"width": 9, "heads": (2, 1, 1, 1)}, "2 heads for a width of 9, which they do not divide"),
        ({"relation_heads": 3}, "3 heads for a width of 64"),
        ({"heads": (1, 1)}, r"heads is \(1, 1\): expected `array` of length 4"),
        ({"layout": "h36m"}, "unknown joint layout 'h36m'"),
        ({"keep": 1}, "no setting keep"),
    ],
)
def test_settings_that_cannot_be_are_usage_errors(settings, message):
    with pytest.raises(UsageError, match=message):
        stirred(**settings)


def test_crops_that_are_no_whole_patches_are_a_usage_error():
    with pytest.raises(UsageError, match="vit-b: crops of 70 pixels; a multiple of 16 is due"):
        stirred("vit-b", size=70)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (clip(views=5), "a clip of 5 views, where at most 4 are due"),
        (clip(frames=6), "a clip of 6 frames, where at most 4 are due"),
        (clip()[..., :32], r"crops of shape \(3, 64, 32\), where \(3, 64, 64\) is due"),
    ],
)
def test_clips_of_another_shape_are_one_line(inputs, message):
    with pytest.raises(VidposeError, match=f"^temporal-relational: {message}$"):
        stirred()(inputs)


def test_a_clip_without_people_is_one_line():
    with pytest.raises(VidposeError, match=r"^temporal-relational: there is nobody in any picture of the clip$"):
        stirred()(clip(), torch.zeros(1, 4, 4, dtype=torch.bool))
