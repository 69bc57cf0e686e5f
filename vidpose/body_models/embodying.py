"""Fitting a skinned body to a track: one shape a person, and how it is turned in each frame.

The shape is that of the person's bone lengths. The bones start as the track's own fitted body is turned
(`Track.rotations`), and settle where the body's landmarks meet the track's joints: Gauss-Newton over the rotations of
each frame, held near where they started. Limbs meet in the same joints in a track and in a model. In the middle of the
body the two mean different places by a name: the way from one to the other is constant in the frame of a bone, without
a part to either side, and found in turn with the pose.

Shape suffixes: N frames, J joints, B bones, K what turns bones, D the 3 of a position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits

from vidpose.body.kinematics import matrices_of, pose, rest_offsets
from vidpose.body.skeletons import Skeleton, get_skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.body_models.body_model import BodyModel, RestBody, skinned
from vidpose.common.errors import VidposeError

_AT_ONCE = 512
"""Frames that are fitted together."""

_ROUNDS, _STEPS = 3, 2
"""Between landmarks' places and poses; and of Gauss-Newton each time."""

_HELD = 0.05
"""Metres of a joint's error that a radian away from the track's own rotation is worth."""

_MEASURED = (
    *((f"{side}_{start}", f"{side}_{end}") for side in ("left", "right") for start, end in (
        ("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "shoulder"),
    )),
    ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"),
)  # fmt: skip
"""Between these joints, a person at rest is as long as the model."""

_THIGHS = (0.1, 1.0)
"""Metres that thighs can be long."""


@dataclass(frozen=True)
class MovingBody:
    """One person as a skinned body.

    N rows, those of the track; NaN where it has no pose.

    Attributes:
        model: what the body is one of.
        shape: where its dials stand.
        rest: the body before it moves.
        turned: (N, K, 3, 3) rotations of what turns its bones (`BodyModel.movers`), from the rest pose into the
            camera's frame.
        roots: (N, 3) metres, where its first bone begins, from the track's root joint, in the camera's axes.
        errors: (N, J) metres between the track's joints and the body's landmarks; NaN for a joint that has none.
    """

    model: BodyModel
    shape: Mapping[str, float]
    rest: RestBody
    turned: np.ndarray
    roots: np.ndarray
    errors: np.ndarray

    @property
    def posed(self) -> np.ndarray:
        """(N,) bool: the rows that have a pose."""
        return np.isfinite(self.roots[:, 0])

    @property
    def stature(self) -> float:
        """Metres from its soles to its crown, standing."""
        return float(np.ptp(self.rest.vertices[:, 1]))

    @property
    def mean_error(self) -> float:
        """Metres, over all joints and rows."""
        return float(np.nanmean(self.errors))

    def turns(self, rows: slice | np.ndarray) -> np.ndarray:
        """(M, B, 3, 3) of all bones in some rows, as `turned` are; those of a long track would fill the memory."""
        return self.turned[rows][:, self.model.mover_of]

    def heads(self, rows: slice | np.ndarray) -> np.ndarray:
        """(M, B, 3) metres, where all bones begin in some rows, as `roots` are."""
        return pose(self.rest.offsets(self.model.layout), self.turns(rows), self.roots[rows], self.model.layout)

    def vertices(self, row: int) -> np.ndarray:
        """(V, 3) float32 of a row that has a pose, as `roots` are."""
        rows = slice(row, row + 1)
        return skinned(self.model, self.rest, self.turns(rows), self.heads(rows))[0]


def _unwatched(poses: float) -> None:
    """Nobody wants to know how far the fit is."""


def embody(
    result: PoseResult,
    model: BodyModel,
    shape: Mapping[str, float] | None = None,
    done: Callable[[float], None] = _unwatched,
) -> dict[int, MovingBody]:
    """Everybody of a result who has 3D joints, as a skinned body, by id.

    Args:
        shape: where some dials of everybody stand; the others are fitted, or stand where they usually do.
        done: called now and then with how many more poses, or parts of them, are done.

    Raises:
        UsageError: there is no such dial, or it does not go so far.
        VidposeError: nobody has joints, somebody has no rotations, or bones that nobody has.
    """
    chosen, tracks = model.checked(shape or {}), [track for track in result.tracks if track.lifted.any()]
    if not tracks:
        raise VidposeError("nobody has 3D joints, which a mesh is fitted to")
    layout = get_skeleton(result.joint_layout)
    return {track.id: _moving_body(track, layout, model, chosen, done) for track in tracks}


@threadpool_limits.wrap(limits=1, user_api="blas")
def _moving_body(
    track: Track, layout: Skeleton, model: BodyModel, chosen: Mapping[str, float], done: Callable[[float], None]
) -> MovingBody:
    there = track.lifted & np.isfinite(track.rotations).all(axis=(1, 2)) & (track.rotations.shape[1] == len(layout))
    if not there.any():
        raise VidposeError(f"person {track.id} has no rotations, which a mesh starts from; lift again, with `fit`")
    turned_NJDD = matrices_of(track.rotations[there])
    fitted = fit_motion(track.joints[there], turned_NJDD, layout, model, chosen, f"person {track.id}", done)
    columns = []
    for values in (fitted.turned, fitted.roots, fitted.errors):
        column = np.full((len(track), *values.shape[1:]), np.nan)
        column[there] = values
        columns.append(column)
    return MovingBody(model, fitted.shape, fitted.rest, *columns)


def fit_motion(
    joints: np.ndarray,
    turned: np.ndarray,
    layout: Skeleton,
    model: BodyModel,
    chosen: Mapping[str, float],
    who: str,
    done: Callable[[float], None] = _unwatched,
) -> MovingBody:
    """A body in the motion of somebody's joints, whose rows all have a pose.

    Args:
        joints: (N, J, 3) metres from the root joint.
        turned: (N, J, 3, 3) of the joints, from the T pose (`vidpose.body.kinematics.orientations`).
        chosen: where some dials stand; the others are fitted, or stand where they usually do.
        who: what errors call the person.
        done: as of `embody`.

    Raises:
        VidposeError: bones that nobody has.
    """
    joints_NJD = joints.astype(np.float64)
    shape = _fitted_shape(_lengths_at_rest(who, joints_NJD, turned, layout), model, chosen)
    fitting = _Fitting(model, model.rest(shape), layout)
    return MovingBody(model, shape, fitting.rest, *fitting.fit(joints_NJD, turned, done))


def _lengths_at_rest(who: str, joints_NJD: np.ndarray, turned_NJDD: np.ndarray, layout: Skeleton) -> np.ndarray:
    """(M,) metres between the joints of `_MEASURED` in a person's T pose.

    Raises:
        VidposeError: nobody is made like that.
    """
    offsets_JD, no_turns = rest_offsets(joints_NJD, layout, turned_NJDD), np.tile(np.eye(3), (1, len(layout), 1, 1))
    (at_rest_JD,) = pose(offsets_JD, no_turns, np.zeros((1, 3)), layout)
    ends_MD, starts_MD = (at_rest_JD[[layout.index(pair[side]) for pair in _MEASURED]] for side in (1, 0))
    lengths_M = np.linalg.norm(ends_MD - starts_MD, axis=-1)
    if not (_THIGHS[0] <= lengths_M[0] <= _THIGHS[1] and np.isfinite(lengths_M).all()):
        raise VidposeError(f"{who}: a thigh of {lengths_M[0]:.2g} m, which nobody has; state `height` when lifting")
    return lengths_M


def _fitted_shape(due_M: np.ndarray, model: BodyModel, chosen: Mapping[str, float]) -> dict[str, float]:
    """The shape with the lengths that are due, as far as its dials go; those chosen stand where they are."""
    from scipy.optimize import least_squares

    dials = {name: dial for name, dial in model.dials.items() if dial.fitted and name not in chosen}
    if not dials:
        return dict(chosen)
    starts, ends = ([model.layout.index(model.landmarks[pair[side]].head) for pair in _MEASURED] for side in (0, 1))
    low, high, usual, cost = np.array([(dial.low, dial.high, dial.usual, dial.cost) for dial in dials.values()]).T

    def shape_of(values: np.ndarray) -> dict[str, float]:
        return {**chosen, **dict(zip(dials, values.tolist(), strict=True))}

    def misfit(values: np.ndarray) -> np.ndarray:
        heads = model.rest(shape_of(values)).heads
        found_M = np.linalg.norm(heads[ends] - heads[starts], axis=-1)
        return np.concatenate([found_M - due_M, cost * (values - usual) / (high - low)])

    return shape_of(least_squares(misfit, usual, bounds=(low, high), x_scale=high - low, diff_step=1e-3).x)


class _Fitting:
    """A body of one shape, and what of it does not change while it is fitted."""

    def __init__(self, model: BodyModel, rest: RestBody, layout: Skeleton) -> None:
        self.model, self.rest, self.layout = model, rest, layout
        bones = model.layout
        self.mover_of = model.mover_of
        self.offsets_BD = rest.offsets(bones)
        self.joints = [joint for joint, name in enumerate(layout.joints) if name in model.landmarks]
        marks = [model.landmarks[layout.joints[joint]] for joint in self.joints]
        self.heads_J = [bones.index(mark.head) for mark in marks]
        self.held_J = [bones.index(mark.held_by) for mark in marks]
        self.middle_J = np.array([layout.mirror[joint] == joint for joint in self.joints])
        # The bones on the way from the root to each landmark, whose offsets add up to it.
        self.chain_JB = np.zeros((len(marks), len(bones)))
        for row, bone in zip(self.chain_JB, self.heads_J, strict=True):
            while bone >= 0:
                row[bone] = 1
                bone = bones.parents[bone]
        self.ways_JD = np.zeros((len(marks), 3))

    def fit(
        self, joints_NJD: np.ndarray, turned_NJDD: np.ndarray, done: Callable[[float], None]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What turns the bones (N, K, 3, 3), where the first begins (N, 3), errors (N, J) of all joints of the layout.

        Args:
            joints_NJD: of the layout, from its root joint.
            turned_NJDD: of the same joints, from the T pose.
        """
        due_NJD = joints_NJD[:, self.joints]
        start_NKDD = np.empty((len(joints_NJD), len(self.model.movers), 3, 3))
        turned_NKDD, roots_ND = np.empty_like(start_NKDD), np.zeros((len(joints_NJD), 3))
        blocks = [slice(at, at + _AT_ONCE) for at in range(0, len(joints_NJD), _AT_ONCE)]
        for rows in blocks:
            start_NKDD[rows] = turned_NKDD[rows] = self._start(turned_NJDD[rows])
            heads = self._heads(turned_NKDD[rows][:, self.mover_of], roots_ND[rows])
            missing = due_NJD[rows] - heads[:, self.heads_J]
            roots_ND[rows] = missing[:, ~self.middle_J].mean(axis=1)
        for _ in range(_ROUNDS):
            self._find_ways(due_NJD, turned_NKDD, roots_ND, blocks)
            for rows in blocks:
                for _ in range(_STEPS):
                    self._step(due_NJD[rows], start_NKDD[rows], turned_NKDD[rows], roots_ND[rows])
                done(len(due_NJD[rows]) / _ROUNDS)
        errors = np.full(joints_NJD.shape[:2], np.nan)
        for rows in blocks:
            turns = turned_NKDD[rows][:, self.mover_of]
            found = self._landmarks(turns, self._heads(turns, roots_ND[rows]))
            errors[rows, self.joints] = np.linalg.norm(found - due_NJD[rows], axis=-1)
        return turned_NKDD, roots_ND, errors

    def _start(self, turned_NJDD: np.ndarray) -> np.ndarray:
        """(N, K, 3, 3) of what turns the bones, as the track's joints are turned, from the model's rest pose."""
        to_rest = self.model.to_rest(self.rest.heads)

        def turned(joint: str) -> np.ndarray:
            return turned_NJDD[:, self.layout.index(joint)] @ to_rest.get(joint, np.eye(3))

        start = []
        for mover in self.model.movers:
            first = turned(mover.joint)
            if mover.towards:
                way = Rotation.from_matrix(first.swapaxes(-1, -2) @ turned(mover.towards)).as_rotvec()
                first = first @ Rotation.from_rotvec(mover.share * way).as_matrix()
            start.append(first)
        return np.stack(start, axis=1)

    def _heads(self, turns_NBDD: np.ndarray, roots_ND: np.ndarray) -> np.ndarray:
        return pose(self.offsets_BD, turns_NBDD, roots_ND, self.model.layout)

    def _landmarks(self, turns_NBDD: np.ndarray, heads_NBD: np.ndarray) -> np.ndarray:
        return heads_NBD[:, self.heads_J] + (turns_NBDD[:, self.held_J] @ self.ways_JD[:, :, None])[..., 0]

    def _find_ways(
        self, due_NJD: np.ndarray, turned_NKDD: np.ndarray, roots_ND: np.ndarray, blocks: list[slice]
    ) -> None:
        """Set where landmarks in the middle of the body lie beside the heads of bones: the mean over the frames."""
        sums_JD = np.zeros_like(self.ways_JD)
        for rows in blocks:
            turns = turned_NKDD[rows][:, self.mover_of]
            beside = due_NJD[rows] - self._heads(turns, roots_ND[rows])[:, self.heads_J]
            sums_JD += (turns[:, self.held_J].swapaxes(-1, -2) @ beside[..., None])[..., 0].sum(axis=0)
        self.ways_JD = np.where(self.middle_J[:, None], sums_JD / len(due_NJD) * (0, 1, 1), 0)

    def _step(self, due_NJD: np.ndarray, start_NKDD: np.ndarray, turned_NKDD: np.ndarray, roots_ND: np.ndarray) -> None:
        """One step of Gauss-Newton, in place."""
        turns, movers = turned_NKDD[:, self.mover_of], len(self.model.movers)
        heads = self._heads(turns, roots_ND)
        missing_NJD = due_NJD - self._landmarks(turns, heads)
        away_NKD = Rotation.from_matrix((turned_NKDD @ start_NKDD.swapaxes(-1, -2)).reshape(-1, 3, 3)).as_rotvec()
        jacobian_NJDU = np.concatenate([self._by_turns(turns), self._by_roots(len(due_NJD))], axis=-1)
        jacobian = jacobian_NJDU.reshape(len(due_NJD), -1, 3 * movers + 3)
        flipped = jacobian.swapaxes(-1, -2)
        square, pull = flipped @ jacobian, (flipped @ missing_NJD.reshape(len(due_NJD), -1, 1))[..., 0]
        held = np.arange(3 * movers)
        square[:, held, held] += _HELD**2
        pull[:, held] -= _HELD**2 * away_NKD.reshape(len(due_NJD), -1)
        change = np.linalg.solve(square, pull[..., None])[..., 0]
        turned_NKDD[:] = (
            Rotation.from_rotvec(change[:, held].reshape(-1, 3)).as_matrix().reshape(turned_NKDD.shape) @ turned_NKDD
        )
        roots_ND += change[:, 3 * movers :]

    def _by_turns(self, turns_NBDD: np.ndarray) -> np.ndarray:
        """(N, J, 3, 3 K) derivatives of the landmarks by small turns of the joints about the camera's axes."""
        parents = [max(parent, 0) for parent in self.model.layout.parents]
        bones_NBD = (turns_NBDD[:, parents] @ self.offsets_BD[:, :, None])[..., 0]
        ways_NJD = (turns_NBDD[:, self.held_J] @ self.ways_JD[:, :, None])[..., 0]
        moved_KB = np.arange(len(self.model.movers))[:, None] == self.mover_of
        by_bones_JKB = self.chain_JB[:, None, :] * moved_KB[:, parents]
        levers_NJKD = np.tensordot(bones_NBD, by_bones_JKB, (1, 2)).transpose(0, 2, 3, 1)
        levers_NJKD = levers_NJKD + moved_KB.T[self.held_J][None, :, :, None] * ways_NJD[:, :, None]
        x, y, z = np.moveaxis(levers_NJKD, -1, 0)
        zero = np.zeros_like(x)
        rows = [np.stack(row, axis=-1) for row in ((zero, z, -y), (-z, zero, x), (y, -x, zero))]
        return np.stack(rows, axis=2).reshape(*levers_NJKD.shape[:2], 3, -1)

    def _by_roots(self, rows: int) -> np.ndarray:
        return np.broadcast_to(np.eye(3), (rows, len(self.joints), 3, 3))


def rows_of(
    bodies: Mapping[int, MovingBody], result: PoseResult, frame: int
) -> Iterator[tuple[Track, MovingBody, int]]:
    """Everybody who has a pose in a frame of the video: the track, the body, and the row in both."""
    for track in result.tracks:
        row = frame - int(track.frames[0])
        if track.id in bodies and 0 <= row < len(track) and bodies[track.id].posed[row]:
            yield track, bodies[track.id], row
