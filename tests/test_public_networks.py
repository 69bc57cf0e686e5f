"""Networks whose authors published code, but of which nothing is recorded: computed once more from a checkpoint with
the authors' names, one joint or one branch after the other, and compared with what the import gives.
"""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import conv1d, linear, softplus

from vidpose.lifters import Lifter, create_lifter
from vidpose.lifters.importing import import_lifter

State = dict[str, torch.Tensor]


def drawn(shapes: dict[str, tuple[int, ...]]) -> State:
    """Numbers for a checkpoint; variances are positive."""
    generator = torch.Generator().manual_seed(3)
    state = {}
    for key, shape in shapes.items():
        fan = max(1, torch.Size(shape[1:]).numel())
        state[key] = torch.randn(shape, generator=generator) / fan**0.5
        if key.endswith("running_var"):
            state[key] = 1 + state[key].abs()
    return state


def imported(tmp_path: Path, state: State, arch: str, wrapper: str) -> Lifter:
    torch.save({wrapper: state, "epoch": 3}, tmp_path / "c.bin")
    return import_lifter(tmp_path / "c.bin", arch)


def assert_same(lifter: Lifter, keypoints: torch.Tensor, expected: torch.Tensor) -> None:
    with torch.inference_mode():
        assert (lifter(keypoints) - expected).abs().max() < 2e-5 * expected.abs().max()


# GraFormer


def graformer(width: int, joints: int, depth: int) -> State:
    shapes: dict[str, tuple[int, ...]] = {
        "gconv_input.weight": (3, 1, 2, width), "gconv_input.bias": (1, 1, width),
        "gconv_output.weight": (3, 1, width, 3), "gconv_output.bias": (1, 1, 3),
    }  # fmt: skip
    for block in range(depth):
        for number in (1, 2):
            shapes[f"gconv_layers.{block}.gconv{number}.gconv.weight"] = (3, 1, width, width)
            shapes[f"gconv_layers.{block}.gconv{number}.gconv.bias"] = (1, 1, width)
        at = f"atten_layers.{block}"
        for number in range(4):
            shapes[f"{at}.self_attn.linears.{number}.weight"] = (width, width)
            shapes[f"{at}.self_attn.linears.{number}.bias"] = (width,)
        shapes[f"{at}.feed_forward.A_hat"] = (joints, joints)
        for number, (rows, columns) in enumerate(((2 * width, width), (width, 2 * width)), 1):
            shapes[f"{at}.feed_forward.gconv{number}.fc.weight"] = (rows, columns)
            shapes[f"{at}.feed_forward.gconv{number}.fc.bias"] = (rows,)
        for number in range(2):
            shapes[f"{at}.sublayer.{number}.norm.a_2"] = (width,)
            shapes[f"{at}.sublayer.{number}.norm.b_2"] = (width,)
    state = drawn(shapes)
    # Columns of the adjacency have positive sums, or the authors' roots are of negative numbers.
    return {key: tensor.abs() if key.endswith("A_hat") else tensor for key, tensor in state.items()}


BONES_OF_16 = [(0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 9), (8, 10), (10, 11), (11, 12),
               (8, 13), (13, 14), (14, 15)]  # fmt: skip


def graformer_by_hand(w: State, keypoints_J2: torch.Tensor, depth: int, heads: int = 4) -> torch.Tensor:
    """(J, 2) -> (J, 3) of one frame."""
    joints = len(keypoints_J2)
    near = [{j} | {b for a, b in BONES_OF_16 if a == j} | {a for a, b in BONES_OF_16 if b == j} for j in range(joints)]

    def differ(x: torch.Tensor) -> torch.Tensor:
        """Each joint less the mean of itself and its neighbours."""
        return torch.stack([x[j] - sum(x[n] for n in near[j]) / len(near[j]) for j in range(joints)])

    def chebyshev(x: torch.Tensor, name: str) -> torch.Tensor:
        first = differ(x)
        powers = (x, first, 2 * differ(first) - x)
        weight = w[f"{name}.weight"][:, 0]
        return sum(power @ matrix for power, matrix in zip(powers, weight, strict=True)) + w[f"{name}.bias"][0]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        scaled = (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6)
        return w[f"{name}.a_2"] * scaled + w[f"{name}.b_2"]

    def attend(x: torch.Tensor, name: str) -> torch.Tensor:
        q, k, v, _ = (linear(x, w[f"{name}.linears.{i}.weight"], w[f"{name}.linears.{i}.bias"]) for i in range(4))
        parts = []
        for q_h, k_h, v_h in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True):
            parts.append((q_h @ k_h.T / q_h.shape[-1] ** 0.5).softmax(-1) @ v_h)
        return linear(torch.cat(parts, -1), w[f"{name}.linears.3.weight"], w[f"{name}.linears.3.bias"])

    def mix(x: torch.Tensor, name: str) -> torch.Tensor:
        links = w[f"{name}.A_hat"]
        degree = [(links[:, j].sum() + 1e-5) ** -0.5 for j in range(joints)]
        for layer in ("gconv1", "gconv2"):
            gathered = torch.stack(
                [sum(degree[i] * links[i, j] * degree[j] * x[j] for j in range(joints)) for i in range(joints)]
            )
            x = linear(gathered, w[f"{name}.{layer}.fc.weight"], w[f"{name}.{layer}.fc.bias"])
            x = x.relu() if layer == "gconv1" else x
        return x

    x = chebyshev(keypoints_J2, "gconv_input")
    for block in range(depth):
        at = f"atten_layers.{block}"
        x = x + attend(norm(x, f"{at}.sublayer.0.norm"), f"{at}.self_attn")
        x = x + mix(norm(x, f"{at}.sublayer.1.norm"), f"{at}.feed_forward")
        inner = chebyshev(x, f"gconv_layers.{block}.gconv1.gconv").relu()
        x = x + chebyshev(inner, f"gconv_layers.{block}.gconv2.gconv").relu()
    return chebyshev(x, "gconv_output")


def test_graformer(tmp_path):
    state = graformer(width=24, joints=16, depth=2)
    lifter = imported(tmp_path, state, "graformer", "state_dict")
    assert (lifter.layout.name, lifter.config.width, lifter.config.depth) == ("h36m16", 24, 2)
    keypoints = torch.randn(1, 3, 16, 2, generator=torch.Generator().manual_seed(1))
    expected = torch.stack([graformer_by_hand(state, frame, 2) for frame in keypoints[0]])[None]
    assert_same(lifter, keypoints, expected)


# Liu et al., CVPR 2020


def attention_tcn(width: int) -> State:
    """As released: five convolutions of three frames, so four levels."""
    shapes: dict[str, tuple[int, ...]] = {"shrink.weight": (51, width, 1), "shrink.bias": (51,)}

    def norm(name: str, channels: int) -> None:
        shapes.update({f"{name}.{k}": (channels,) for k in ("weight", "bias", "running_mean", "running_var")})

    def separable(name: str, channels: int) -> None:
        shapes[f"{name}.DW_conv.weight"] = (channels, 1, 3)
        shapes[f"{name}.PW_conv.weight"] = (width, channels, 1)
        norm(f"{name}.DW_bn", channels)
        norm(f"{name}.PW_bn", width)

    for number in range(4):
        separable(f"expand_conv.{number}", 34)
    for number in range(3):
        separable(f"dilation_conv.{2 * number}", width)
        shapes[f"dilation_conv.{2 * number + 1}.weight"] = (width, width, 1)
        norm(f"dilation_bn.{number}", width)
    for number in range(4):
        kernels = f"layers_conv.{2 * number}"
        for kernel in range(3):
            shapes[f"{kernels}.convs.{kernel}.0.weight"] = (width, 1, 3)
            shapes[f"{kernels}.convs.{kernel}.2.weight"] = (width, width // 8, 1)
            norm(f"{kernels}.convs.{kernel}.1", width)
            norm(f"{kernels}.convs.{kernel}.3", width)
            shapes[f"{kernels}.fcs.{kernel}.weight"], shapes[f"{kernels}.fcs.{kernel}.bias"] = (width, 2), (width,)
        shapes[f"{kernels}.fc.weight"], shapes[f"{kernels}.fc.bias"] = (2, width), (2,)
        shapes[f"layers_conv.{2 * number + 1}.weight"] = (width, width, 1)
        norm(f"layers_bn.{number}", width)
        frames = 81 // 3**number
        shapes[f"layers_tem_att.{number}.weight"], shapes[f"layers_tem_att.{number}.bias"] = (frames, 243), (frames,)
        norm(f"layers_tem_bn.{number}", frames)
    return drawn(shapes)


class AttentionByHand:
    """The released network's answer for 243 frames, each branch by a name of its own."""

    def __init__(self, weights: State):
        self.w = weights

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias, mean, variance = (
            self.w[f"{name}.{k}"][:, None] for k in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    def act(self, x: torch.Tensor) -> torch.Tensor:
        return x * softplus(x).tanh()

    def separable(self, x: torch.Tensor, name: str) -> torch.Tensor:
        by_channel = conv1d(x, self.w[f"{name}.DW_conv.weight"], stride=3, groups=x.shape[1])
        mixed = conv1d(self.norm(by_channel, f"{name}.DW_bn"), self.w[f"{name}.PW_conv.weight"])
        return self.act(self.norm(mixed, f"{name}.PW_bn"))

    def kernels(self, x: torch.Tensor, name: str) -> torch.Tensor:
        answers = []
        for kernel in range(3):
            # Frame t's filter sees t - d, t, t + d, at the edges the outermost frame again.
            taps = self.w[f"{name}.convs.{kernel}.0.weight"][:, 0]
            last = x.shape[2] - 1
            columns = []
            for middle in range(1, x.shape[2], 3):
                seen = [min(max(middle + (kernel + 1) * side, 0), last) for side in (-1, 0, 1)]
                columns.append(sum(x[0, :, frame] * taps[:, tap] for tap, frame in enumerate(seen)))
            y = self.norm(torch.stack(columns, dim=1), f"{name}.convs.{kernel}.1")
            groups = zip(y.chunk(8), self.w[f"{name}.convs.{kernel}.2.weight"][..., 0].chunk(8), strict=True)
            y = torch.cat([matrix @ part for part, matrix in groups])
            answers.append(self.act(self.norm(y, f"{name}.convs.{kernel}.3")))
        squeezed = linear(sum(answers).mean(-1), self.w[f"{name}.fc.weight"], self.w[f"{name}.fc.bias"])
        wants = [linear(squeezed, self.w[f"{name}.fcs.{k}.weight"], self.w[f"{name}.fcs.{k}.bias"]) for k in range(3)]
        shares = torch.stack(wants).softmax(dim=0)
        return sum(answer * share[:, None] for answer, share in zip(answers, shares, strict=True))[None]

    def level(self, x: torch.Tensor, residual: torch.Tensor, number: int) -> torch.Tensor:
        inner = conv1d(self.kernels(x, f"layers_conv.{2 * number}"), self.w[f"layers_conv.{2 * number + 1}.weight"])
        return residual + self.act(self.norm(inner, f"layers_bn.{number}"))

    def skip(self, x: torch.Tensor, residual: torch.Tensor, number: int) -> torch.Tensor:
        inner = self.separable(x, f"dilation_conv.{2 * number}")
        inner = conv1d(inner, self.w[f"dilation_conv.{2 * number + 1}.weight"])
        return residual + self.act(self.norm(inner, f"dilation_bn.{number}"))

    def __call__(self, keypoints_TJ2: torch.Tensor) -> torch.Tensor:
        poses = (keypoints_TJ2 - keypoints_TJ2[:, :1]).flatten(1)
        cosines = torch.stack([pose @ poses[121] / (pose.norm() * poses[121].norm()) for pose in poses])
        attention = [
            self.norm(
                linear(cosines, self.w[f"layers_tem_att.{i}.weight"], self.w[f"layers_tem_att.{i}.bias"])[:, None],
                f"layers_tem_bn.{i}",
            ).sigmoid().T
            for i in range(4)
        ]  # fmt: skip
        x = keypoints_TJ2.flatten(1).T[None]
        x81, x27, x9, x3 = (
            self.separable(part, f"expand_conv.{i}")
            for i, part in enumerate((x, x[:, :, 1::3], x[:, :, 4::9], x[:, :, 13::27]))
        )
        weighed81, thin27 = x81 * attention[0], x81[:, :, 1::3]
        y27 = self.level(weighed81, thin27, 0)
        to_9 = self.skip(weighed81[:, :, 1::3], thin27[:, :, 1::3], 0)
        to_3 = self.skip(weighed81[:, :, 4::9], thin27[:, :, 4::9], 1)
        thin9 = y27[:, :, 1::3]
        also_to_3 = self.skip((y27 * attention[1])[:, :, 1::3], thin9[:, :, 1::3], 2)
        y9 = self.level((y27 + x27) * attention[1], thin9, 1)
        y3 = self.level((y9 + x9 + to_9) * attention[2], y9[:, :, 1::3], 2)
        y1 = self.level((y3 + x3 + to_3 + also_to_3) * attention[3], y3[:, :, 1::3], 3)
        return conv1d(y1, self.w["shrink.weight"], self.w["shrink.bias"])[0, :, 0].view(1, -1, 3)


def test_liu_et_al(tmp_path):
    state = attention_tcn(width=16)
    lifter = imported(tmp_path, state, "attention-tcn", "model_pos")
    assert (lifter.config.frames, lifter.config.width, lifter.layout.name) == (243, 16, "h36m17")
    keypoints = torch.randn(1, 243, 17, 2, generator=torch.Generator().manual_seed(1)).cumsum(dim=1) / 10
    assert_same(lifter, keypoints, AttentionByHand(state)(keypoints[0])[None])


@pytest.mark.parametrize(("frames", "skips"), [(9, 0), (27, 0), (81, 1), (243, 3)])
def test_paths_that_leave_out_levels(frames, skips):
    lifter = create_lifter("attention-tcn", frames=frames, width=8).eval()
    assert len(lifter.skips) == skips
    moved = torch.randn(1, frames, 17, 2, generator=torch.Generator().manual_seed(2))
    assert lifter(moved).shape == (1, 1, 17, 3)
