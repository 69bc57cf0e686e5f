"""The papers' equations once more, straight from the text: plain loops in float64, against the networks.

For SSR-STF, the LSTM hybrids and POT nobody has published code, so this is the check of their arithmetic. Recorded
outputs of other networks see evaluation alone; what is random in training is compared at the end of this file.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import erf

from vidpose.keypoints.clips.clip_network import create_clip_network
from vidpose.lifters import create_lifter
from vidpose.lifters.transformer import DropPath

PARTS = {"trunk": (0, 7, 8, 9, 10), "right leg": (1, 2, 3), "left leg": (4, 5, 6), "left arm": (11, 12, 13),
         "right arm": (14, 15, 16)}  # fmt: skip
"""Human3.6M's joints by part of the body, numbered in this order (STCFormer, section 3.4)."""


class Straight:
    """A network's tensors as float64 arrays, and what formulas are made of, by the tensors' names."""

    def __init__(self, network: torch.nn.Module, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for tensor in network.state_dict().values():
                if tensor.is_floating_point():
                    # Nothing stays zero or one, so that nothing can be left out unnoticed.
                    tensor += 0.2 * torch.randn(tensor.shape, generator=generator)
        network.double().eval()
        self.state = {key: tensor.numpy() for key, tensor in network.state_dict().items()}

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        y = np.einsum("...i,oi->...o", x, self.state[f"{name}.weight"])
        return y + self.state[f"{name}.bias"] if f"{name}.bias" in self.state else y

    def norm(self, x: np.ndarray, name: str, eps: float) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + eps)
        return scaled * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def mlp(self, x: np.ndarray, name: str, first: str = "fc1", second: str = "fc2") -> np.ndarray:
        return self.linear(gelu(self.linear(x, f"{name}{first}")), f"{name}{second}")


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + erf(x / math.sqrt(2))) / 2


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int, scale: float) -> np.ndarray:
    """(N, D) each -> (N, D): heads one after the other, tokens one after the other."""
    answer, width = np.zeros_like(v), q.shape[1] // heads
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        for token in range(len(q)):
            weights = softmax(np.array([q[token, part] @ k[other, part] for other in range(len(k))]) * scale)
            answer[token, part] = sum(weights[other] * v[other, part] for other in range(len(v)))
    return answer


def close(network_answer: torch.Tensor, straight: np.ndarray) -> None:
    np.testing.assert_allclose(network_answer.detach().numpy(), straight, rtol=1e-9, atol=1e-9)


def depthwise(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, axis: int, dilation: int) -> np.ndarray:
    """A depthwise convolution of (T, J, C) along an axis, zeros beyond the ends: kernel (C, K), bias (C,)."""
    x, size = np.moveaxis(x, axis, 0), kernel.shape[1]
    answer = np.zeros_like(x) + bias
    # As the framework pads an even kernel: the spare zero lies at the end.
    before = dilation * (size - 1) // 2
    for place in range(len(x)):
        for tap in range(size):
            source = place + tap * dilation - before
            if 0 <= source < len(x):
                answer[place] += x[source] * kernel[:, tap]
    return np.moveaxis(answer, 0, axis)


def ssr(straight: Straight, x: np.ndarray, name: str, long: int, sizes: tuple[int, int, int, int]) -> np.ndarray:
    """SSR-STF, eq. 3 to 6, of (T, J, C); the long side of the kernel lies along axis `long`."""
    k1, d1, k2, d2 = sizes
    entered = gelu(straight.linear(x, f"{name}.enter"))
    local = entered
    # Eq. 4, from the inside: DW_1, DW_2, DWD_1, DWD_2.
    steps = [(long, 2 * d1 - 1, 1), (1 - long, 2 * d2 - 1, 1), (long, k1 // d1, d1), (1 - long, k2 // d2, d2)]
    for index, (axis, size, dilation) in enumerate(steps):
        kernel = straight.state[f"{name}.attention.depthwise.{index}.weight"]
        assert kernel.shape[2 + axis] == size
        assert kernel.shape[3 - axis] == 1
        bias = straight.state[f"{name}.attention.depthwise.{index}.bias"]
        local = depthwise(local, kernel.reshape(len(kernel), size), bias, axis, dilation)
    refined = straight.linear(local, f"{name}.attention.pointwise") * entered
    return x + straight.linear(refined, f"{name}.leave")


def stc(straight: Straight, x: np.ndarray, name: str, heads: int = 8) -> np.ndarray:
    """Spatio-temporal criss-cross attention of (T, J, C), as STCFormer released it (its eq. 5 to 11)."""
    frames, joints, width = x.shape
    half = width // 2
    ways = []
    for way, along_time, strength in (("spatial", False, 1e-4), ("temporal", True, 1e-9)):
        q, k, v = np.split(straight.linear(x, f"{name}.{way}.qkv"), 3, axis=-1)
        answer = np.zeros((frames, joints, half))
        if along_time:
            for joint in range(joints):
                answer[:, joint] = attention(q[:, joint], k[:, joint], v[:, joint], heads, half**-0.5)
        else:
            for frame in range(frames):
                answer[frame] = attention(q[frame], k[frame], v[frame], heads, half**-0.5)
        kernel, bias = (straight.state[f"{name}.{way}.local.{part}"] for part in ("weight", "bias"))
        for frame in range(frames):
            for joint in range(joints):
                answer[frame, joint] += bias
                for a in (-1, 0, 1):
                    for b in (-1, 0, 1):
                        if 0 <= frame + a < frames and 0 <= joint + b < joints:
                            answer[frame, joint] += kernel[:, 0, a + 1, b + 1] * v[frame + a, joint + b]
        for number, members in enumerate(PARTS.values()):
            # Every head gets the same vector.
            answer[:, members] += strength * np.tile(straight.state[f"{name}.parts.weight"][number], heads)
        ways.append(answer)
    return straight.linear(np.concatenate(ways, axis=-1), f"{name}.proj")


@pytest.mark.parametrize("temporal", [False, True])
def test_selective_refine_attention(temporal):
    """The long side along the joints in the spatial SSRFormer, along time in the temporal one (section III.B)."""
    lifter = create_lifter("ssr-stf", frames=9, width=16, depth=1, representation=24)
    straight = Straight(lifter)
    module = lifter.blocks[0].local[int(temporal)].mixer
    x = torch.randn(1, 40, 17, 16, dtype=torch.float64)
    name = f"blocks.0.local.{int(temporal)}.mixer"
    close(module(x)[0], ssr(straight, x[0].numpy(), name, 0 if temporal else 1, (35, 3, 11, 2)))


def test_criss_cross_attention():
    lifter = create_lifter("ssr-stf", frames=9, width=16, depth=1, representation=24)
    straight = Straight(lifter)
    x = torch.randn(1, 6, 17, 16, dtype=torch.float64)
    close(lifter.blocks[0].global_[0].mixer(x)[0], stc(straight, x[0].numpy(), "blocks.0.global_.0.mixer"))


def test_ssr_stf_as_a_whole():
    """Eq. 1 to 11 and section III.A, from keypoints to joints."""
    lifter = create_lifter("ssr-stf", frames=9, width=16, depth=2, representation=24)
    straight = Straight(lifter)
    keypoints = torch.randn(1, 7, 17, 3, dtype=torch.float64)
    features = straight.linear(keypoints[0].numpy(), "embed") + straight.state["positions"][0]
    for depth in range(2):
        local = whole = features
        for number, long in ((0, 1), (1, 0)):
            name = f"blocks.{depth}.local.{number}"
            local = local + ssr(
                straight, straight.norm(local, f"{name}.norm1", 1e-5), f"{name}.mixer", long, (35, 3, 11, 2)
            )
            local = local + straight.mlp(straight.norm(local, f"{name}.norm2", 1e-5), f"{name}.mlp.")
        for number in range(2):
            name = f"blocks.{depth}.global_.{number}"
            whole = whole + stc(straight, straight.norm(whole, f"{name}.norm1", 1e-5), f"{name}.mixer")
            whole = whole + straight.mlp(straight.norm(whole, f"{name}.norm2", 1e-5), f"{name}.mlp.")
        # Eq. 10 and 11: two weights a token, of both streams together.
        scores = straight.linear(np.concatenate([local, whole], axis=-1), f"blocks.{depth}.fusion")
        shares = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
        features = shares[..., :1] * local + shares[..., 1:] * whole
    motion = np.tanh(straight.linear(features, "representation"))
    close(lifter.represent(keypoints)[0], motion)
    close(lifter(keypoints)[0], straight.linear(motion, "head"))


def test_mixste_as_a_whole():
    """Section 3.1: spatial attention in each frame, temporal attention of each joint, in turn (eq. 1 to 7, Fig. 2)."""
    heads, width = 8, 16
    lifter = create_lifter("mixste", frames=6, width=width, depth=2)
    straight = Straight(lifter)
    keypoints = torch.randn(1, 6, 17, 2, dtype=torch.float64)
    tokens = straight.linear(keypoints[0].numpy(), "embed")

    def block(tokens: np.ndarray, name: str) -> np.ndarray:
        """(N, D): attention, then the MLP, each after a norm and with a residual."""
        q, k, v = np.split(
            straight.linear(straight.norm(tokens, f"{name}.norm1", 1e-6), f"{name}.attn.qkv"), 3, axis=-1
        )
        attended = attention(q, k, v, heads, (width / heads) ** -0.5)
        tokens = tokens + straight.linear(attended, f"{name}.attn.proj")
        return tokens + straight.mlp(straight.norm(tokens, f"{name}.norm2", 1e-6), f"{name}.mlp.")

    for depth in range(2):
        if depth == 0:
            tokens = tokens + straight.state["spatial_positions"][0]
        for frame in range(6):
            tokens[frame] = block(tokens[frame], f"spatial_blocks.{depth}")
        tokens = straight.norm(tokens, "spatial_norm", 1e-6)
        if depth == 0:
            tokens = tokens + straight.state["temporal_positions"][0][:, None]
        for joint in range(17):
            tokens[:, joint] = block(tokens[:, joint], f"temporal_blocks.{depth}")
        tokens = straight.norm(tokens, "temporal_norm", 1e-6)
    close(lifter(keypoints)[0], straight.linear(straight.norm(tokens, "head.0", 1e-5), "head.1"))


PARENT = {1: 0, 2: 1, 3: 2, 4: 0, 5: 4, 6: 5, 7: 0, 8: 7, 9: 8, 10: 9, 11: 8, 12: 11, 13: 12, 14: 8, 15: 14, 16: 15}
"""Human3.6M's bones, by the joints at their ends."""


def bones(one: int, other: int) -> int:
    """How many lie between two of Human3.6M's joints: a walk over all neighbours at once, until it is there."""
    reached, steps = {one}, 0
    while other not in reached:
        above = {PARENT[joint] for joint in reached if joint in PARENT}
        reached |= above | {joint for joint, parent in PARENT.items() if parent in reached}
        steps += 1
    return steps


def test_pot_and_its_refinement():
    """POT, eq. 1 to 11 and 13, one frame; in use nothing is sampled (eq. 9)."""
    heads, width = 3, 12
    lifter = create_lifter("pot", width=width, heads=heads, depth=2, refine_depth=2)
    straight = Straight(lifter)
    keypoints, truth = torch.randn(1, 1, 17, 2, dtype=torch.float64), torch.randn(1, 1, 17, 3, dtype=torch.float64)
    state, seen = straight.state, keypoints[0, 0].numpy()
    places = np.array(
        [state["joint_positions"][joint] + state["group_positions"][min(bones(joint, 0), 4)] for joint in range(17)]
    )

    def block(tokens: np.ndarray, name: str, weigh: Callable[[float, int, int, int], float]) -> np.ndarray:
        """`weigh` makes of q . k, head, and the two joints what the softmax gets."""
        entered = straight.norm(tokens, f"{name}.norm1", 1e-6)
        q, k, v = np.split(straight.linear(entered, f"{name}.attn.qkv"), 3, axis=-1)
        answer = np.zeros_like(v)
        for head in range(heads):
            part = slice(head * width // heads, (head + 1) * width // heads)
            for i in range(17):
                shares = softmax(np.array([weigh(q[i, part] @ k[j, part], head, i, j) for j in range(17)]))
                answer[i, part] = sum(shares[j] * v[j, part] for j in range(17))
        tokens = tokens + straight.linear(answer, f"{name}.attn.proj")
        return tokens + straight.mlp(straight.norm(tokens, f"{name}.norm2", 1e-6), f"{name}.mlp.")

    root_d = math.sqrt(width / heads)
    tokens = straight.linear(seen, "embed") + places
    for depth in range(2):
        name = f"blocks.{depth}"
        biases = {
            steps: straight.linear(gelu(straight.linear(np.array([float(steps)]), f"{name}.attn.bias.0")),
                                   f"{name}.attn.bias.2") for steps in range(9)
        }  # fmt: skip
        tokens = block(tokens, name, lambda qk, head, i, j, biases=biases: qk / root_d + biases[bones(i, j)][head])
    first = straight.linear(tokens, "head")
    spread = np.log(1 + np.exp(straight.linear(tokens, "spread"))) + 0.001
    tokens = straight.linear(np.concatenate([first, seen], axis=1), "refine_embed") + places
    for depth in range(2):
        tokens = block(tokens, f"refine_blocks.{depth}", lambda qk, head, i, j: qk / (root_d * spread[j].sum()))
    refined = straight.linear(tokens, "refine_head")
    # The spread is in float32 in the network.
    answer = lifter(keypoints)[0, 0].detach().numpy()
    np.testing.assert_allclose(answer, refined, rtol=1e-5, atol=1e-5)
    # Eq. 13, of each joint.
    losses, again = lifter.predictions(keypoints, truth)
    expected = [
        sum(((first[i] - truth[0, 0, i].numpy()) / spread[i]) ** 2) + math.log(sum(spread[i] ** 2)) for i in range(17)
    ]
    np.testing.assert_allclose(losses[0, 0].detach().numpy(), expected, rtol=1e-4)
    assert torch.equal(again, lifter(keypoints))


def lstm(straight: Straight, x: np.ndarray, name: str, layer: int = 0) -> np.ndarray:
    """(T, I) -> (T, D): Hochreiter and Schmidhuber's unit with forget gates, frame by frame, from zeros."""
    w, u, b, c = (
        straight.state[f"{name}.{part}_l{layer}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    hidden = memory = np.zeros(u.shape[1])
    answers = []
    for frame in x:
        enter, forget, new, leave = np.split(w @ frame + b + u @ hidden + c, 4)
        memory = sigmoid(forget) * memory + sigmoid(enter) * np.tanh(new)
        hidden = sigmoid(leave) * np.tanh(memory)
        answers.append(hidden)
    return np.array(answers)


def regression(straight: Straight, x: np.ndarray) -> np.ndarray:
    """(T, D) -> (T, J, 3): a convolution over three frames beside a residual, and a linear layer."""
    kernel, bias = straight.state["regression.conv.weight"], straight.state["regression.conv.bias"]
    padded = np.pad(x, ((1, 1), (0, 0)))
    local = np.array([sum(kernel[:, :, tap] @ padded[t + tap] for tap in range(3)) + bias for t in range(len(x))])
    return straight.linear(x + gelu(local), "regression.project").reshape(len(x), 17, 3)


def positions(length: int, width: int) -> np.ndarray:
    """Vaswani et al. 2017, section 3.5."""
    table = np.zeros((length, width))
    for place in range(length):
        for pair in range(width // 2):
            angle = place / 10000 ** (2 * pair / width)
            table[place, 2 * pair : 2 * pair + 2] = math.sin(angle), math.cos(angle)
    return table


def encoder_layer(straight: Straight, x: np.ndarray, name: str, heads: int = 8, eps: float = 1e-5) -> np.ndarray:
    """A pre-norm Transformer encoder layer of (T, D), by torch's names."""
    weight, bias = straight.state[f"{name}.self_attn.in_proj_weight"], straight.state[f"{name}.self_attn.in_proj_bias"]
    q, k, v = np.split(straight.norm(x, f"{name}.norm1", eps) @ weight.T + bias, 3, axis=-1)
    attended = attention(q, k, v, heads, (x.shape[1] / heads) ** -0.5)
    x = x + straight.linear(attended, f"{name}.self_attn.out_proj")
    return x + straight.mlp(straight.norm(x, f"{name}.norm2", eps), f"{name}.", "linear1", "linear2")


# Their normalisation needs no equations: it is asserted in test_lifters.py.
HYBRID = {"frames": 9, "width": 16, "normalisation": "screen", "channels": 3}


@pytest.mark.parametrize("name", ["lstm", "single-branch"])
def test_lstm_and_the_single_branch(name):
    """Section 3.1, right panel of Fig. 1."""
    lifter = create_lifter(name, **HYBRID)
    straight = Straight(lifter)
    keypoints = torch.randn(1, 9, 17, 3, dtype=torch.float64)
    first = lstm(straight, keypoints[0].reshape(9, 51).numpy(), "lstm")
    features = straight.norm(lstm(straight, first, "lstm", 1), "lstm_norm", 1e-5)
    if name == "single-branch":
        features = features + positions(9, 16)
        for depth in range(2):
            features = encoder_layer(straight, features, f"encoder.layers.{depth}")
        features = straight.norm(features, "encoder_norm", 1e-5)
    # The sinusoids are float32 in the network.
    answer = lifter(keypoints)[0].detach().numpy()
    np.testing.assert_allclose(answer, regression(straight, features), rtol=1e-5, atol=1e-5)


def test_the_dual_branch():
    """Section 3.2, left panel of Fig. 1: half of the first LSTM layer's output to either branch."""
    lifter = create_lifter("dual-branch", **HYBRID)
    straight = Straight(lifter)
    keypoints = torch.randn(1, 9, 17, 3, dtype=torch.float64)
    inputs = keypoints[0].reshape(9, 51).numpy()
    shared = lstm(straight, inputs, "lstm_first")
    beside = straight.linear(inputs, "embed") + positions(9, 8)
    whole = encoder_layer(straight, np.concatenate([shared[:, :8], beside], axis=1), "encoder.layers.0")
    whole = straight.norm(whole, "encoder_norm", 1e-5)
    local = straight.norm(lstm(straight, shared[:, 8:], "lstm_second"), "lstm_norm", 1e-5)
    share = softmax(straight.state["fusion"])
    answer = lifter(keypoints)[0].detach().numpy()
    np.testing.assert_allclose(answer, regression(straight, share[0] * whole + share[1] * local), rtol=1e-5, atol=1e-5)


def test_image_relations():
    """Eq. 10 to 14: over the frames of each view, then over the views of each moment; each with places of its own."""
    network = create_clip_network("temporal-relational", size=64, frames=3, views=2, layers=2, width=8,
                                  depths=(1, 1, 3, 1), heads=(1, 1, 2, 2), relation_heads=4, window=2)  # fmt: skip
    straight = Straight(network)
    tokens = torch.randn(1, 2, 3, 64, dtype=torch.float64)
    related = tokens[0].numpy().copy()

    def relation(tokens: np.ndarray, name: str) -> np.ndarray:
        tokens = tokens + straight.state[f"{name}.places"]
        for depth in range(2):
            tokens = encoder_layer(straight, tokens, f"{name}.layers.{depth}", heads=4, eps=1e-6)
        return straight.norm(tokens, f"{name}.norm", 1e-6)

    for view in range(2):
        related[view] = relation(related[view], "time")
    for frame in range(3):
        related[:, frame] = relation(related[:, frame], "space")
    present = torch.ones(1, 2, 3, dtype=torch.bool)
    close(network.related(tokens, present)[0], related)
    answers = straight.linear(straight.norm(related, "norm", 1e-6), "head").reshape(2, 3, 17, 3)
    points, logits = network.decode(tokens, present)
    close(points[0], answers[..., :2] + 0.5)
    close(logits[0], answers[..., 2])


DROP_PATHS = {
    "mixste": list(np.linspace(0, 0.1, 8)) * 2,
    "ktpformer": list(np.linspace(0, 0.1, 8)) * 2,
    "poseformer": list(np.linspace(0, 0.1, 4)) * 2,
    "ssr-stf": [],
    "motionbert": [0.0] * 20,
}
"""Rates of stochastic depth: from 0 to the highest with the depth, alike in space and time (released codes)."""


@pytest.mark.parametrize("name", DROP_PATHS)
def test_rates_of_stochastic_depth(name):
    with torch.device("meta"):
        lifter = create_lifter(name)
    rates = [
        module.rate for key, module in lifter.named_modules() if isinstance(module, DropPath) and "part" not in key
    ]
    assert sorted(rates) == pytest.approx(sorted(DROP_PATHS[name]))


@pytest.mark.parametrize("name", ["mixste", "poseformer", "ktpformer", "ssr-stf", "motionagformer", "lstm",
                                  "single-branch", "dual-branch", "motionbert", "poseformer-v2"])  # fmt: skip
def test_no_unit_is_dropped_where_papers_drop_none(name):
    """MixSTE's "dropout 0.1" is stochastic depth in its code; the others' papers and codes have none inside blocks."""
    with torch.device("meta"):
        lifter = create_lifter(name)
    assert not [key for key, m in lifter.named_modules() if isinstance(m, torch.nn.Dropout) and m.p > 0]


def test_a_dropped_path_is_dropped_for_a_whole_sequence_and_the_rest_makes_up_for_it():
    torch.manual_seed(0)
    branch = torch.ones(4000, 5, 3)
    dropped = DropPath(0.25).train()(branch)
    for sequence in dropped:
        assert sequence.unique().numel() == 1
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (dropped[:, 0, 0] > 0).float().mean() == pytest.approx(0.75, abs=0.03)
    # Over time: for each joint of each clip on its own, in all frames.
    dropped = DropPath(0.25, axis=1).train()(torch.ones(400, 6, 5, 3))
    for clip in dropped:
        for joint in range(5):
            assert clip[:, joint].unique().numel() == 1
    assert any(clip.unique().numel() == 2 for clip in dropped)


def test_only_the_parts_of_the_body_are_random_in_ssr_stf_s_training():
    """STCFormer leaves each part embedding out half of the time; it counts 1e-4 and 1e-9 of its size."""
    torch.manual_seed(0)
    lifter = create_lifter("ssr-stf", frames=9, width=16, depth=1, representation=24).train()
    keypoints = torch.randn(1, 9, 17, 3)
    answers = torch.stack([lifter(keypoints) for _ in range(8)])
    spread = (answers - answers[0]).abs().max()
    assert 0 < spread < 1e-3 * answers.abs().max()
