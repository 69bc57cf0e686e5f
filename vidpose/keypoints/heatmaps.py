"""From heatmaps to points, all at once and on the heatmaps' device.

    points_NJD, scores_NJ = decoding("quarter")(heatmaps_NJYX)

Points are in cells: (0, 0) is the first cell. A score is the heatmap's maximum. Where that is not above zero there is
no peak, and the point is (-1, -1), as in mmpose.

Shape suffixes: N people, J joints, Y and X height and width of a heatmap, D = 2 coordinates (x, y).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.nn.functional import conv2d

from vidpose.common.errors import UsageError

_BLUR = 11  # cells; of DARK and UDP, for heatmaps of deviation 2 as the published networks have

Decoding = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(N, J, Y, X) float32 heatmaps -> (N, J, 2) points and (N, J) scores."""

Peaks = tuple[torch.Tensor, torch.Tensor]
"""x and y of the highest cells, (N, J) integers each."""


def decoding(name: str) -> Decoding:
    """The way from heatmaps to points of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in DECODINGS:
        raise UsageError(f"unknown decoding {name!r}; known are {', '.join(DECODINGS)}")
    return DECODINGS[name]


def mirrored(heatmaps_NJYX: torch.Tensor, mirror: Sequence[int], *, shift: bool) -> torch.Tensor:
    """Heatmaps of a mirrored crop as if it had not been: turned back, left and right joints swapped.

    Args:
        mirror: the joint layout's permutation of left and right.
        shift: move them a cell to the right, where cells stand for their left edge; the first column stays.
    """
    turned_NJYX = heatmaps_NJYX[:, list(mirror)].flip(-1)
    return torch.cat([turned_NJYX[..., :1], turned_NJYX[..., :-1]], dim=-1) if shift else turned_NJYX


def _quarter(heatmaps_NJYX: torch.Tensor, peaks: Peaks) -> torch.Tensor:
    """The peak, moved a quarter of a cell towards the higher neighbour (Newell et al., ECCV 2016, training details).

    Which cells at the edge are left alone is as in mmpose, whose published figures include it.
    """
    x_NJ, y_NJ = peaks
    height, width = heatmaps_NJYX.shape[-2:]
    at = _reader(heatmaps_NJYX, peaks)
    offset_x = torch.where((x_NJ > 1) & (x_NJ < width - 1) & (y_NJ > 0), (at(1, 0) - at(-1, 0)).sign(), 0)
    offset_y = torch.where((y_NJ > 1) & (y_NJ < height - 1) & (x_NJ > 0), (at(0, 1) - at(0, -1)).sign(), 0)
    return torch.stack([x_NJ + 0.25 * offset_x, y_NJ + 0.25 * offset_y], dim=-1)


def _dark(heatmaps_NJYX: torch.Tensor, peaks: Peaks) -> torch.Tensor:
    """A Newton step from the peak, on the logarithm of the blurred heatmap (Zhang et al., CVPR 2020, 3.1)."""
    x_NJ, y_NJ = peaks
    height, width = heatmaps_NJYX.shape[-2:]
    at = _reader(_blur(heatmaps_NJYX).clamp(min=1e-10).log(), peaks)
    xx = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4
    yy = (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
    xy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    inside = (x_NJ > 1) & (x_NJ < width - 2) & (y_NJ > 1) & (y_NJ < height - 2)
    return _newton(at, peaks, xx, yy, xy, inside)


def _udp(heatmaps_NJYX: torch.Tensor, peaks: Peaks) -> torch.Tensor:
    """DARK as UDP's authors have it: differences between next neighbours, values of 0.001 to 50, the edges included
    (Huang et al., CVPR 2020)."""
    at = _reader(_blur(heatmaps_NJYX).clamp(1e-3, 50).log(), peaks)
    tiny = torch.finfo(torch.float32).eps
    xx = at(1, 0) - 2 * at(0, 0) + at(-1, 0) + tiny
    yy = at(0, 1) - 2 * at(0, 0) + at(0, -1) + tiny
    xy = (at(1, 1) - at(1, 0) - at(0, 1) + 2 * at(0, 0) - at(-1, 0) - at(0, -1) + at(-1, -1)) / 2
    return _newton(at, peaks, xx, yy, xy, torch.ones_like(xx, dtype=torch.bool))


def _from_peak(refine: Callable[[torch.Tensor, Peaks], torch.Tensor]) -> Decoding:
    """The decoding that finds the highest cell and refines its place."""

    def decode(heatmaps_NJYX: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores_NJ, cells_NJ = heatmaps_NJYX.flatten(2).max(dim=-1)
        width = heatmaps_NJYX.shape[-1]
        points_NJD = refine(heatmaps_NJYX, (cells_NJ % width, cells_NJ // width))
        return torch.where(scores_NJ[..., None] > 0, points_NJD, -1.0), scores_NJ

    return decode


def _integral(heatmaps_NJYX: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean place under the softmax of the heatmap (Sun et al., ECCV 2018), for networks trained with it.

    The score is the largest probability of a cell.
    """
    flat = heatmaps_NJYX.flatten(2).softmax(dim=-1)
    probabilities_NJYX = flat.view_as(heatmaps_NJYX)
    columns_NJX, rows_NJY = probabilities_NJYX.sum(dim=-2), probabilities_NJYX.sum(dim=-1)
    means = (
        sums @ torch.arange(sums.shape[-1], device=sums.device, dtype=sums.dtype) for sums in (columns_NJX, rows_NJY)
    )
    return torch.stack(list(means), dim=-1), flat.amax(dim=-1)


DECODINGS: Mapping[str, Decoding] = {
    "quarter": _from_peak(_quarter),
    "dark": _from_peak(_dark),
    "udp": _from_peak(_udp),
    "integral": _integral,
}


def _reader(maps_NJYX: torch.Tensor, peaks: Peaks) -> Callable[[int, int], torch.Tensor]:
    """A function of dx and dy: (N, J) what stands that far from the peaks; beyond the edge, what stands at it."""
    height, width = maps_NJYX.shape[-2:]
    flat = maps_NJYX.flatten(2)

    def at(dx: int, dy: int) -> torch.Tensor:
        x_NJ, y_NJ = (peaks[0] + dx).clamp(0, width - 1), (peaks[1] + dy).clamp(0, height - 1)
        return flat.gather(-1, (y_NJ * width + x_NJ)[..., None])[..., 0]

    return at


def _newton(
    at: Callable[[int, int], torch.Tensor],
    peaks: Peaks,
    xx: torch.Tensor,
    yy: torch.Tensor,
    xy: torch.Tensor,
    valid: torch.Tensor,
) -> torch.Tensor:
    """Peaks minus the inverse of the Hessian times the gradient; where that is not `valid`, the peaks."""
    x, y = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    determinant = xx * yy - xy * xy
    step_NJD = torch.stack([yy * x - xy * y, xx * y - xy * x], dim=-1) / determinant[..., None]
    step_NJD = torch.where((valid & (determinant != 0))[..., None], step_NJD, 0)
    return torch.stack(peaks, dim=-1) - step_NJD


def _blur(heatmaps_NJYX: torch.Tensor) -> torch.Tensor:
    """A Gaussian over the heatmaps, zeros around them, their maxima as before (Zhang et al., CVPR 2020, 3.1)."""
    # OpenCV's deviation for a kernel of that size.
    deviation = 0.3 * ((_BLUR - 1) / 2 - 1) + 0.8
    steps = torch.arange(_BLUR, device=heatmaps_NJYX.device) - _BLUR // 2
    kernel = torch.exp(-(steps**2) / (2 * deviation**2))
    kernel /= kernel.sum()
    maps = heatmaps_NJYX.flatten(0, 1)[:, None]
    maps = conv2d(conv2d(maps, kernel.view(1, 1, 1, -1), padding="same"), kernel.view(1, 1, -1, 1), padding="same")
    blurred_NJYX = maps.view_as(heatmaps_NJYX)
    return blurred_NJYX * heatmaps_NJYX.amax((-2, -1), True) / blurred_NJYX.amax((-2, -1), True).clamp(min=1e-12)
