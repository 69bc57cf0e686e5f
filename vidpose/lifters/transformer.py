"""The pre-norm Transformer block that most lifters stack, over joints or over time.

Shape suffixes: B batch, T frames, J joints, N tokens, D width.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import linear, scaled_dot_product_attention


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scale: float | None = None,
    bias: torch.Tensor | None = None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Softmax attention (Vaswani et al. 2017, eq. 1): (B, h, N, d) each -> (B, h, N, d).

    Args:
        scale: of query times key; None: the inverse root of d.
        bias: (h, N, N), added before the softmax.
        dropout: of the weights.
    """
    if query.dtype != torch.bfloat16 or query.device.type != "cpu" or torch.is_grad_enabled() or dropout:
        return scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout, scale=scale)
    # There the fused kernel takes a third longer than products written out.
    scores_BhNN = query * (query.shape[-1] ** -0.5 if scale is None else scale) @ key.transpose(-2, -1)
    return (scores_BhNN if bias is None else scores_BhNN + bias.to(scores_BhNN.dtype)).softmax(dim=-1) @ value


class Attention(nn.Module):
    """Multi-head self-attention over the last but one axis (Vaswani et al. 2017, section 3.2.2).

    Args:
        attention_dropout: of the attention's weights; as `dropout`, which is of the output, where not given.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        qkv_bias: bool = True,
        dropout: float = 0.0,
        attention_dropout: float | None = None,
    ):
        super().__init__()
        self.heads, self.dropout = heads, dropout if attention_dropout is None else attention_dropout
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)
        self.proj_drop = nn.Dropout(dropout)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, D) or (B, T, J, D) -> the same shape; the latter attends over joints."""
        return self.attend(tokens, *self.project(tokens))

    def project(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values, (B, h, N, d) each."""
        # Four axes and no more, or none of the fast attention kernels takes it.
        q, k, v = self.qkv(tokens).flatten(0, -3).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def attend(
        self,
        tokens: torch.Tensor,
        q_BhNd: torch.Tensor,
        k_BhNd: torch.Tensor,
        v_BhNd: torch.Tensor,
        bias_hNN: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """What the tokens get, in their shape; `bias_hNN` is added before the softmax."""
        dropout = self.dropout if self.training else 0.0
        attended_BhNd = attention(q_BhNd, k_BhNd, v_BhNd, bias=bias_hNN, dropout=dropout)
        return self.proj_drop(self.proj(attended_BhNd.transpose(1, 2).flatten(2).view_as(tokens)))


class TemporalAttention(Attention):
    """The same over time, for each joint on its own: (B, T, J, D) -> (B, T, J, D).

    Joints are taken as further heads. That needs q, k and v apart, but leaves the tokens where they lie, where a
    transposition to (B, J, T, D) copies them twice.
    """

    def forward(self, tokens_BTJD: torch.Tensor) -> torch.Tensor:
        weights, biases = self.qkv.weight.chunk(3), (None,) * 3 if self.qkv.bias is None else self.qkv.bias.chunk(3)
        q, k, v = (
            linear(tokens_BTJD, weight, bias).unflatten(-1, (self.heads, -1)).flatten(2, 3).transpose(1, 2)
            for weight, bias in zip(weights, biases, strict=True)
        )
        attended_BHTd = attention(q, k, v, dropout=self.dropout if self.training else 0.0)
        return self.proj_drop(self.proj(attended_BHTd.transpose(1, 2).reshape(tokens_BTJD.shape)))


class Mlp(nn.Module):
    """Two linear layers with an activation, by default GELU, between."""

    def __init__(
        self, width: int, hidden: int, dropout: float = 0.0, *, bias: bool = True, act: type[nn.Module] = nn.GELU
    ):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden, bias=bias)
        self.act = act()
        self.fc2: nn.Module = nn.Linear(hidden, width, bias=bias)
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.drop(self.fc2(self.drop(self.act(self.fc1(tokens)))))


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): a whole branch left out, for each sequence of tokens on its own.

    Args:
        rate: probability.
        axis: of the tokens, along which one draw holds.
    """

    def __init__(self, rate: float, axis: int = -2):
        super().__init__()
        self.rate, self.axis = rate, axis

    def forward(self, branch: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return branch
        draws = branch.select(-1, 0).unsqueeze(-1).narrow(self.axis, 0, 1)
        kept = torch.empty_like(draws).bernoulli_(1 - self.rate)
        return branch * kept / (1 - self.rate)


class TransformerBlock(nn.Module):
    """Attention and MLP, each after a layer norm and inside a residual: tokens -> the same shape.

    Args:
        temporal: attend over axis 1 of (B, T, J, D), not over the last but one.
        attention_dropout: see `Attention`.
        eps: of the layer norms.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_ratio: float,
        *,
        temporal: bool = False,
        qkv_bias: bool = True,
        dropout: float = 0.0,
        attention_dropout: float | None = None,
        drop_path: float = 0.0,
        eps: float = 1e-6,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = (TemporalAttention if temporal else Attention)(
            width, heads, qkv_bias=qkv_bias, dropout=dropout, attention_dropout=attention_dropout
        )
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, int(width * mlp_ratio), dropout)
        self.drop_path = DropPath(drop_path, axis=1 if temporal else -2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens)))
        return tokens + self.drop_path(self.mlp(self.norm2(tokens)))


class AdaptiveFusion(nn.Module):
    """Two streams weighted by what each token holds in both, and added (Zhu et al. 2023, MotionBERT, eq. 4 and 5)."""

    def __init__(self, width: int):
        super().__init__()
        # Starts as the mean of the streams.
        self.weight = nn.Parameter(torch.zeros(2, 2 * width))
        self.bias = nn.Parameter(torch.full((2,), 0.5))

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Both (B, T, J, D) -> the same shape."""
        weights_BTJ2 = linear(torch.cat([first, second], dim=-1), self.weight, self.bias).softmax(dim=-1)
        return first * weights_BTJ2[..., :1] + second * weights_BTJ2[..., 1:]


def drop_path_rates(highest: float, depth: int) -> list[float]:
    """Rates that rise linearly from 0 with the depth (Huang et al. 2016, section 3)."""
    return [highest * index / max(1, depth - 1) for index in range(depth)]
