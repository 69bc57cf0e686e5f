"""Where a person is: the root joint's path in the camera's frame, in metres.

A lifter says how a body is posed, not where. Where it must be is what puts the lifted joints onto the keypoints. With
the root r = (X, Y, Z), the lifted joint d relative to it and the keypoint's ray (u, v, 1), a pinhole asks for

    X + dx = u (Z + dz),    Y + dy = v (Z + dz),

which are two equations a joint, linear in r: a frame has a closed-form least-squares answer. Divided by the joint's
depth Z + dz, the residuals are errors in the picture; the depths of the answer before serve for that, and Cauchy's
weights keep single wrong keypoints from pulling. What the frame knows of r, its normal matrix N over the variance of
the residuals, is much about the place across the line of sight and little about the depth.

The path is the one that agrees with the frames as far as each knows, and accelerates little (Whittaker, "On a new
method of graduation", in continuous time): it minimises, over the stretch,

    integral of (r - answer)' N / variance (r - answer)  +  lambda * integral of |r''|^2.

So the depth, which frames know least, is smoothed most; a frame without keypoints is bridged; exact joints give the
exact path; and the frame rate, even or not, does not matter.

Shape suffixes: N frames, J joints.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from vidpose.body.pieces import part_of, pieces
from vidpose.body.skeletons import get_conversion
from vidpose.body.stretches import MAX_GAP, unbroken
from vidpose.body.tracks import PinholeCamera, PoseResult, Track

STIFFNESS = 15 / (2 * np.pi * 3.0) ** 4 / 0.02**2
"""Lambda, which halves motion across the line of sight at 3 Hz where 15 joints are off by 2 cm, at 4.2 Hz where they
are off by 1 cm. Chosen on CMU motion; 2 or 6 Hz would differ by 2 % in the root's error."""

_CAUCHY = 2.385
"""Standard deviations at which a residual counts half: 95 % efficient on normal errors (Holland and Welsch, "Robust
regression using iteratively reweighted least-squares")."""

_MEDIAN_2D, _MEDIAN_3D = 1.177, 1.538
"""Median length of a normal vector of two and of three components, in standard deviations of one."""

_LEAST_DEVIATION = 1e-6
"""Metres. Exact joints are off by the rounding of their floats."""

_STEPS = 10
"""Of reweighting: with two wild keypoints of 17, answers then change by less than the others' errors."""

_LEAST_JOINTS = 4
_LEAST_SPREAD = 1e-3
"""Radians, root mean square, that keypoints lie apart as the camera sees them. A body that spans less is some 300 m
away, or is none."""

_NEAREST = 0.1
"""Metres: no joint is closer to the camera."""


def root_path(
    joints_NJ3: np.ndarray,
    keypoints_NJ2: np.ndarray,
    scores_NJ: np.ndarray,
    camera: PinholeCamera,
    times: np.ndarray,
    max_gap: float = MAX_GAP,
) -> np.ndarray:
    """The path of one person's root joint.

    Args:
        joints_NJ3: metres relative to the root, NaN in rows without a pose.
        keypoints_NJ2: pixels of the same joints, NaN where absent.
        scores_NJ: of the keypoints, 0 to 1; a keypoint counts by its score.
        camera: its focal length and centre.
        times: (N,) increasing seconds.
        max_gap: seconds; a longer jump of time ends a stretch, beyond which nothing is computed.

    Returns:
        (N, 3) float64 metres in the camera's frame, NaN in rows without a pose, and in a whole stretch of poses where
        no frame has keypoints that tell the place.
    """
    path_N3 = np.full((len(times), 3), np.nan)
    for part in unbroken(np.isfinite(joints_NJ3).all(axis=(1, 2)), times, max_gap):
        roots_M3, known_M33 = frame_roots(joints_NJ3[part], keypoints_NJ2[part], scores_NJ[part], camera)
        path_N3[part] = smooth_path(roots_M3, known_M33, times[part])
    return path_N3


def frame_roots(
    joints_NJ3: np.ndarray, keypoints_NJ2: np.ndarray, scores_NJ: np.ndarray, camera: PinholeCamera
) -> tuple[np.ndarray, np.ndarray]:
    """The root in every frame for itself.

    Args: as of `root_path`, every row with a pose.

    Returns:
        (N, 3) metres in the camera's frame; and (N, 3, 3) what is known of it, normal matrices over the variance of the
        residuals across the line of sight, in 1 / m^2. Both are 0 where too little is seen.
    """
    roots_N3, known_N33 = np.zeros((len(joints_NJ3), 3)), np.zeros((len(joints_NJ3), 3, 3))
    off = [np.zeros(0)]
    for some in pieces(len(joints_NJ3)):
        joints, keypoints, scores = (array[some].astype(float) for array in (joints_NJ3, keypoints_NJ2, scores_NJ))
        roots_N3[some], known_N33[some], metres = _roots_at_once(joints, keypoints, scores, camera)
        off.append(metres)
    # Over the whole stretch: which frame is how wrong is not told by so few joints.
    metres = np.concatenate(off)
    if len(metres):
        known_N33 /= max(np.median(metres) / _MEDIAN_2D, _LEAST_DEVIATION) ** 2
    return roots_N3, known_N33


def _roots_at_once(
    joints_NJ3: np.ndarray, keypoints_NJ2: np.ndarray, scores_NJ: np.ndarray, camera: PinholeCamera
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of some frames, with normal matrices alone; and (M,) metres that keypoints of any score are off by."""
    there_NJ = np.isfinite(keypoints_NJ2).all(axis=-1)
    rays_NJ2 = np.where(there_NJ[..., None], (keypoints_NJ2 - camera.centre) / camera.focal, 0.0)
    scores_NJ = np.where(there_NJ, scores_NJ, 0.0)
    told_N = ((scores_NJ > 0).sum(axis=1) >= _LEAST_JOINTS) & (_spread(rays_NJ2, scores_NJ) >= _LEAST_SPREAD)
    roots_N3, known_N33 = np.zeros((len(told_N), 3)), np.zeros((len(told_N), 3, 3))
    if not told_N.any():
        return roots_N3, known_N33, np.zeros(0)
    joints, rays, scores = joints_NJ3[told_N], rays_NJ2[told_N], scores_NJ[told_N]
    # X - u Z = u dz - dx, and so for Y.
    wanted = rays * joints[..., 2:] - joints[..., :2]
    weights = scores
    for _ in range(_STEPS):
        roots, normal = _solve(rays, wanted, weights)
        depth = np.maximum(roots[:, None, 2] + joints[..., 2], _NEAREST)
        metres = np.linalg.norm(roots[:, None, :2] - rays * roots[:, None, 2:] - wanted, axis=-1)
        nearness = np.median(depth, axis=1, keepdims=True) / depth
        weights = scores * _frame_trust(metres * nearness, scores) * np.square(nearness)
    # A body upside down in depth: the pose and the keypoints contradict each other.
    in_front = (roots[:, None, 2] + joints[..., 2]).min(axis=1) > _NEAREST
    rows = np.flatnonzero(told_N)[in_front]
    roots_N3[rows], known_N33[rows] = roots[in_front], normal[in_front]
    return roots_N3, known_N33, metres[scores > 0]


def _spread(rays_NJ2: np.ndarray, scores_NJ: np.ndarray) -> np.ndarray:
    """(N,) root mean square distance of rays from their middle, by scores."""
    share_NJ1 = (scores_NJ / np.maximum(scores_NJ.sum(axis=1, keepdims=True), 1e-9))[..., None]
    middle_N12 = (share_NJ1 * rays_NJ2).sum(axis=1, keepdims=True)
    return np.sqrt((share_NJ1 * np.square(rays_NJ2 - middle_N12)).sum(axis=(1, 2)))


def _solve(rays_NJ2: np.ndarray, wanted_NJ2: np.ndarray, weights_NJ: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) weighted least-squares answers to X - u Z = wanted, and (N, 3, 3) their normal matrices."""
    rows_NJ23 = np.zeros((*rays_NJ2.shape, 3))
    rows_NJ23[..., 0, 0] = rows_NJ23[..., 1, 1] = 1
    rows_NJ23[..., 2] = -rays_NJ2
    weighted_NJ23 = weights_NJ[..., None, None] * rows_NJ23
    normal_N33 = np.einsum("njai,njak->nik", weighted_NJ23, rows_NJ23)
    right_N3 = np.einsum("njai,nja->ni", weighted_NJ23, wanted_NJ2)
    return np.linalg.solve(normal_N33, right_N3[..., None])[..., 0], normal_N33


def _frame_trust(off: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Weights (N, J) of residuals, whose standard deviation a frame's median tells."""
    # NaN among few columns makes numpy's own median many times slower.
    ordered, seen = np.sort(np.where(scores > 0, off, np.inf), axis=1), (scores > 0).sum(axis=1)
    rows = np.arange(len(off))
    median = (ordered[rows, (seen - 1) // 2] + ordered[rows, seen // 2]) / 2
    return _trust(off / np.maximum(median[:, None] / _MEDIAN_2D, 1e-12))


def _trust(deviations: np.ndarray) -> np.ndarray:
    """Cauchy's weights of residuals in standard deviations."""
    return 1 / (1 + np.square(deviations / _CAUCHY))


def smooth_path(roots_N3: np.ndarray, known_N33: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The path that agrees with each frame's answer as far as it knows, and accelerates little.

    A frame far from the path, as frames go, counts less (Cauchy again): a wrong pose lasts a few frames.

    Args:
        roots_N3, known_N33: as `frame_roots` gives them.
        times: (N,) increasing seconds.

    Returns:
        (N, 3) metres; the mean answer throughout where fewer than three frames know anything, NaN where none does.
    """
    told_N = known_N33[:, 0, 0] > 0
    if told_N.sum() < 3:
        total_33 = known_N33.sum(axis=0)
        mean_3 = np.linalg.solve(total_33, np.einsum("nij,nj->i", known_N33, roots_N3)) if told_N.any() else np.nan
        return np.broadcast_to(mean_3, roots_N3.shape).copy()
    seconds_N = np.gradient(times)
    trust_N = np.ones(len(times))
    for _ in range(_STEPS):
        path_N3 = _stiff_path(roots_N3, known_N33 * (trust_N * seconds_N)[:, None, None], times)
        off_N3 = path_N3 - roots_N3
        off_N = np.sqrt(np.maximum(np.einsum("ni,nij,nj->n", off_N3, known_N33, off_N3), 0))
        # In deviations of what the frame itself claims, which it may always be off by.
        deviation = max(1.0, np.median(off_N[told_N]) / _MEDIAN_3D)
        trust_N = _trust(off_N / deviation)
    return path_N3


def _stiff_path(roots_N3: np.ndarray, known_N33: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Solve the normal equations, a band of 9 diagonals, in time linear in the length.

    Second derivatives are divided differences of three neighbours, each standing for half the time it spans.
    """
    frames, band = len(times), 8
    before, after = np.diff(times)[:-1], np.diff(times)[1:]
    bends_M3 = 2 * np.stack([1 / (before * (before + after)), -1 / (before * after), 1 / (after * (before + after))], 1)
    costs_M = STIFFNESS * (before + after) / 2
    upper = np.zeros((band + 1, 3 * frames))
    first = np.arange(frames - 2)
    for i in range(3):
        for j in range(i, 3):
            for axis in range(3):
                upper[band - 3 * (j - i), 3 * (first + j) + axis] += costs_M * bends_M3[:, i] * bends_M3[:, j]
    for i in range(3):
        for j in range(i, 3):
            upper[band - (j - i), 3 * np.arange(frames) + j] += known_N33[:, i, j]
    right = np.einsum("nij,nj->ni", known_N33, roots_N3).ravel()
    return solveh_banded(upper, right, overwrite_ab=True, overwrite_b=True).reshape(frames, 3)


def reprojection_error(
    joints_NJ3: np.ndarray,
    roots_N3: np.ndarray,
    keypoints_NJ2: np.ndarray,
    scores_NJ: np.ndarray,
    camera: PinholeCamera,
) -> np.ndarray:
    """How far from its keypoint each joint appears in the picture.

    Args: as of `root_path`, and its path.

    Returns:
        (N, J) float64 pixels; NaN where there is no pose, no place or no keypoint.
    """
    points_NJ3 = joints_NJ3 + roots_N3[:, None]
    points_NJ3 = np.where(points_NJ3[..., 2:] >= _NEAREST, points_NJ3, np.nan)
    off_NJ = np.linalg.norm(camera.project(points_NJ3) - keypoints_NJ2, axis=-1)
    return np.where(scores_NJ > 0, off_NJ, np.nan)


def seen_joints(track: Track, keypoint_layout: str, joint_layout: str) -> tuple[np.ndarray, np.ndarray]:
    """A track's keypoints (N, J, 2) and their scores (N, J) in the layout of its joints.

    Raises:
        UsageError: the joints cannot be made from the keypoints.
    """
    if keypoint_layout == joint_layout:
        return track.keypoints, track.scores
    return get_conversion(keypoint_layout, joint_layout)(track.keypoints, track.scores)


def reprojection_by_id(result: PoseResult) -> dict[int, float]:
    """Of people with roots, by id, the median reprojection error in pixels."""
    assert result.camera is not None
    medians = {}
    for track in result.tracks:
        parts = []
        for part in (part_of(track, rows) for rows in pieces(len(track))):
            keypoints, scores = seen_joints(part, result.keypoint_layout, result.joint_layout)
            parts.append(reprojection_error(part.joints, part.roots, keypoints, scores, result.camera))
        pixels = np.concatenate(parts)
        if np.isfinite(pixels).any():
            medians[track.id] = float(np.nanmedian(pixels))
    return medians
