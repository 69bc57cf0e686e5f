"""Exploiting temporal information for 3D human pose estimation.

Hossain, Little, ECCV 2018. A sequence-to-sequence network of layer-normalised LSTM units (section 3, Fig. 2): the
encoder reads the 2D poses in reverse order; the decoder starts from the encoder's last state and a START token of
ones, and adds to each 3D pose it has given the change to the next one. Width 1024, windows of T = 5 frames that slide
by one: the first window answers for its five frames, every later one for its last (section 4, data pre-processing).
Poses are standardised as by Martinez et al. 16.9 M parameters.

Dropout is that of section 3, on the connections that are not recurrent (Zaremba et al. 2014): what goes into an LSTM
unit and what comes out of it, not what it hands to its next step. The released code does so, and besides drops the
candidate memory inside the unit (Semeniuta et al. 2016, eq. 9), `recurrent_dropout` here.

What the paper leaves open is as in the authors' TensorFlow code: linear projections into and out of the LSTM units,
which begin as the units' weights do (section 4: Xavier's uniform), a forget bias of one, and normalisation of each gate
and of the memory. Theirs has a projection of the encoder's outputs too, which nothing reads: 32.8 k parameters that are
not here.

Table 4's ablations are the settings `layer_norm`, `dropout` with `recurrent_dropout`, and `residual`. Its "w/o
recurrent dropout" is, by section 4.1, "when dropout is not performed": without either.

Shape suffixes: B batch, T frames, J joints, C channels, I inputs, D width, G the four gates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vidpose.common.settings import Count, Probability
from vidpose.lifters.lifter import LifterConfig
from vidpose.lifters.martinez import Standardised


class LayerNormLSTMCell(nn.Module):
    """A layer-normalised LSTM unit (Ba et al. 2016, eq. 20 to 22) with recurrent dropout.

    All gates come from one matrix product, the input's part of it for the whole sequence at once, and are normalised
    together. The order of the gates is input, candidate, forget, output. Without layer norm they have biases instead.
    """

    def __init__(self, width: int, dropout: float, layer_norm: bool):
        super().__init__()
        self.width = width
        self.inputs = nn.Linear(width, 4 * width, bias=False)
        self.hidden = nn.Linear(width, 4 * width, bias=False)
        self.gate_gain = nn.Parameter(torch.ones(4, width)) if layer_norm else None
        self.gate_bias = nn.Parameter(torch.zeros(4, width))
        # The epsilon of TensorFlow's layer_norm.
        self.state_norm = nn.LayerNorm(width, eps=1e-12) if layer_norm else nn.Identity()
        self.drop = nn.Dropout(dropout)
        for linear in (self.inputs, self.hidden):
            # One matrix of 2 D inputs and 4 D outputs in the paper's terms.
            bound = (6 / (2 * width + 4 * width)) ** 0.5
            nn.init.uniform_(linear.weight, -bound, bound)

    def forward(
        self, inputs_BG: torch.Tensor, hidden_BD: torch.Tensor, memory_BD: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step, from what `self.inputs` gave for it: the next hidden state and memory."""
        gates_BGD = (inputs_BG + self.hidden(hidden_BD)).unflatten(-1, (4, self.width))
        if self.gate_gain is not None:
            gates_BGD = nn.functional.layer_norm(gates_BGD, (self.width,), eps=1e-12) * self.gate_gain
        enter_BD, candidate_BD, keep_BD, leave_BD = (gates_BGD + self.gate_bias).unbind(dim=1)
        new_BD = enter_BD.sigmoid() * self.drop(candidate_BD.tanh())
        memory_BD = self.state_norm(memory_BD * (keep_BD + 1).sigmoid() + new_BD)
        return memory_BD.tanh() * leave_BD.sigmoid(), memory_BD


class Seq2Seq(Standardised):
    """Encoder and decoder of layer-normalised LSTM units (section 3)."""

    name = "seq2seq"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`width` of the LSTM units, their `dropout` outside and inside, and Table 4's switches."""

        frames: Count = 5
        channels: Count = 2
        normalisation: str = "screen"
        width: Count = 1024
        dropout: Probability = 0.5
        recurrent_dropout: Probability = 0.5
        layer_norm: bool = True
        residual: bool = True

    config: Config
    predicts = "last"
    tiny = {"width": 16}  # noqa: RUF012
    variants = {  # noqa: RUF012
        "table4-no-dropout": {"dropout": 0.0, "recurrent_dropout": 0.0},
        "table4-no-layer-norm": {"layer_norm": False},
        "table4-no-layer-norm-no-dropout": {"layer_norm": False, "dropout": 0.0, "recurrent_dropout": 0.0},
        "table4-no-residual": {"residual": False},
    }
    authors_keys = (
        ("rnn_decoder/output_projection_wrapper/", "decoder_"),
        ("output_projection_wrapper/", "encoder_"),
        ("input_projection_wrapper/layer_norm_basic_lstm_cell/", "cell/"),
        ("input_projection_wrapper/", "in/"),
    )

    def __init__(self, config: Config):
        super().__init__(config)
        joints = len(self.input_joints)
        self.encoder_in = nn.Linear(joints * config.channels, config.width)
        self.encoder_cell = LayerNormLSTMCell(config.width, config.recurrent_dropout, config.layer_norm)
        self.decoder_in = nn.Linear(joints * 3, config.width)
        self.decoder_cell = LayerNormLSTMCell(config.width, config.recurrent_dropout, config.layer_norm)
        self.decoder_out = nn.Linear(config.width, joints * 3)
        self.drop = nn.Dropout(config.dropout)
        for projection in (self.encoder_in, self.decoder_in, self.decoder_out):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def regress(self, keypoints_BTI: torch.Tensor) -> torch.Tensor:
        batch, length, _ = keypoints_BTI.shape
        hidden = memory = keypoints_BTI.new_zeros(batch, self.config.width)
        encoded_BTG = self.encoder_cell.inputs(self.drop(self.encoder_in(keypoints_BTI)))
        for frame in reversed(range(length)):
            hidden, memory = self.encoder_cell(encoded_BTG[:, frame], hidden, memory)

        pose = keypoints_BTI.new_ones(batch, self.decoder_in.in_features)
        poses = []
        for _ in range(length):
            entering_BG = self.decoder_cell.inputs(self.drop(self.decoder_in(pose)))
            hidden, memory = self.decoder_cell(entering_BG, hidden, memory)
            change = self.decoder_out(self.drop(hidden))
            pose = pose + change if self.config.residual else change
            poses.append(pose)
        return torch.stack(poses, dim=1)

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        inputs, width = tensors["encoder_in/kernel"].shape
        outputs = tensors["decoder_kernel"].shape[1]
        return {"channels": inputs * 3 // outputs, "width": width}

    @classmethod
    def from_authors(cls, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """TensorFlow keeps matrices as (in, out), both of an LSTM unit's in one, and each gate's norm apart."""
        state = {}
        for part in ("encoder", "decoder"):
            state[f"{part}_in.weight"] = tensors[f"{part}_in/kernel"].T
            state[f"{part}_in.bias"] = tensors[f"{part}_in/bias"]
            cell = f"{part}_cell"
            kernel = tensors[f"{cell}/kernel"].T
            state[f"{cell}.inputs.weight"], state[f"{cell}.hidden.weight"] = kernel.chunk(2, dim=1)
            gates = [f"{cell}/{gate}" for gate in ("input", "transform", "forget", "output")]
            state[f"{cell}.gate_gain"] = torch.stack([tensors[f"{gate}/gamma"] for gate in gates])
            state[f"{cell}.gate_bias"] = torch.stack([tensors[f"{gate}/beta"] for gate in gates])
            state[f"{cell}.state_norm.weight"] = tensors[f"{cell}/state/gamma"]
            state[f"{cell}.state_norm.bias"] = tensors[f"{cell}/state/beta"]
        state["decoder_out.weight"], state["decoder_out.bias"] = tensors["decoder_kernel"].T, tensors["decoder_bias"]
        return state | cls.unit_statistics(cls.infer_config(tensors)["channels"])
