"""The 3D panel: every person in a cell of their own, seen from a little above and aside of the camera.

Joints are relative to the root, so people have no common place; each stands on a floor of their own. Where the world's
vertical is known, they are shown as if the camera had stood level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from vidpose.body.colours import (
    BACKGROUND,
    FLOOR,
    GUESS,
    LEFT,
    OUTLINE,
    QUIET_TEXT,
    RIGHT,
    SHADOW,
    TEXT,
    bones_of,
    id_colours,
    joint_colours,
    mix,
)
from vidpose.body.joint_angles import upward
from vidpose.body.pieces import part_of, pieces
from vidpose.body.skeletons import Skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.body.whole_body import known_whole, whole_joints, whole_skeleton
from vidpose.render.drawing import chip, dot, stroke, text, text_width

MAX_CELLS = 12

_PASSING = 1.0
"""Seconds for which somebody has to be there to be given a cell, where others are there longer."""

_AZIMUTH = np.radians(32)
_ELEVATION = np.radians(14)
_DISTANCE = 4.5
"""Metres from the virtual camera to the body."""

_GRID = 0.5
_REACH = 1.0
"""Metres between the floor's lines, and from its middle to its border."""

_FADE = 0.55
"""How much of its colour the farthest limb loses."""

_FLOOR_MEMORY = 0.3
"""Seconds over which the floor's height under a body is averaged: a step keeps it still, sitting down moves it."""


@dataclass(frozen=True)
class PanelView:
    """A virtual camera for one cell: metres, y = 0 on the floor and negative above, to pixels of the cell."""

    width: int
    height: int
    scale: float
    middle: float
    """The height, in metres, that appears half-way up the cell."""

    def __call__(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project (..., 3) metres to (..., 2) pixels and (...) depths in metres, 0 at the middle of the body."""
        turned = (points + np.array([0, self.middle, 0])) @ _TURN.T
        depth = turned[..., 2]
        pixels = self.scale * turned[..., :2] * (_DISTANCE / (_DISTANCE + depth))[..., None]
        return pixels + np.array([self.width / 2, self.height * 0.49]), depth


def _turn() -> np.ndarray:
    """(3, 3) rotation from the camera's axes to those of the virtual camera, which stands to its right and higher."""
    ca, sa, ce, se = np.cos(_AZIMUTH), np.sin(_AZIMUTH), np.cos(_ELEVATION), np.sin(_ELEVATION)
    around = np.array([[ca, 0, sa], [0, 1, 0], [-sa, 0, ca]])
    above = np.array([[1, 0, 0], [0, ce, -se], [0, se, ce]])
    return above @ around


_TURN = _turn()


class Panel:
    """Draws the 3D skeletons of a result into a picture of a fixed size.

    Args:
        result: the people; those without a 3D pose leave their cell empty.
        width, height: pixels of the panel.
    """

    def __init__(self, result: PoseResult, width: int, height: int) -> None:
        self._skeleton = whole_skeleton(result)
        self._unit = height / 720
        self._slots, self._colours = _slots(result.tracks), id_colours(result.tracks)
        self._known = {track.id: known_whole(result, track) for track in result.tracks}
        self._lifted = {track.id: track.lifted for track in result.tracks}
        level = _level(upward(result.camera))
        self._joints = {track.id: _levelled(track, self._skeleton, level) for track in result.tracks}
        self._floors = {track.id: _floor(track.times, self._joints[track.id]) for track in result.tracks}
        footer = round(44 * self._unit)
        tall, wide = _extent([(self._joints[id_], self._lifted[id_]) for id_ in self._slots])
        columns, rows, scale = _grid(max(self._slots.values(), default=0) + 1, width / wide, (height - footer) / tall)
        self._cells = [
            (width * (slot % columns) // columns, (height - footer) * (slot // columns) // rows)
            for slot in range(columns * rows)
        ]
        cell_width, cell_height = width // columns, (height - footer) // rows
        self._view = PanelView(cell_width, cell_height, scale, tall / 2)
        self._background = self._empty_panel(width, height, footer)

    def draw(self, panel: np.ndarray, people: list[tuple[Track, int]]) -> None:
        """Fill (height, width, 3) uint8 RGB with the people, each given as a track and its row."""
        panel[:] = self._background
        for track, row in people:
            slot = self._slots.get(track.id)
            if slot is None:
                continue
            x, y = self._cells[slot]
            cell = panel[y : y + self._view.height, x : x + self._view.width]
            joints = self._joints[track.id][row]
            if self._lifted[track.id][row]:
                joints = joints - np.array([0, self._floors[track.id][row], 0])
                self._draw_body(cell, joints, self._known[track.id][row])
            height = max(8.0, 12 * self._unit)
            chip(cell, (2.4 * height, 2.4 * height), str(track.id), self._colours[track.id], height)

    def _draw_body(self, cell: np.ndarray, joints: np.ndarray, known: np.ndarray) -> None:
        """Draw (J, 3) metres, far limbs first, darker and thinner; grey what is not (J,) known, not what is absent."""
        there = np.isfinite(joints).all(axis=1)
        bones = [bone for bone in bones_of(self._skeleton) if there[bone.start] and there[bone.end]]
        (pixels, depth), (shadow, _) = (self._in_cell(some) for some in (joints, joints * [1, 0, 1]))
        width = max(1.5, 0.036 * self._view.scale)
        for bone in bones:
            stroke(cell, shadow[bone.start], shadow[bone.end], SHADOW, bone.weight * width)
        farness = [min(max((one + 0.3) / 0.9, 0.0), 1.0) for one in depth]
        colours = joint_colours(self._skeleton)
        for bone in sorted(bones, key=lambda b: -(depth[b.start] + depth[b.end])):
            far = (farness[bone.start] + farness[bone.end]) / 2
            thick = bone.weight * width * (1.3 - 0.6 * far)
            colour = bone.colour if known[bone.start] and known[bone.end] else GUESS
            stroke(cell, pixels[bone.start], pixels[bone.end], OUTLINE, thick + max(2.0, 0.4 * width))
            stroke(cell, pixels[bone.start], pixels[bone.end], mix(colour, BACKGROUND, _FADE * far), thick)
            for joint in (bone.start, bone.end) if bone.weight == 1 else ():
                far = farness[joint]
                light = mix(
                    mix(colours[joint] if known[joint] else GUESS, (255, 255, 255), 0.5), BACKGROUND, _FADE * far
                )
                dot(cell, pixels[joint], light, 0.55 * width * (1.3 - 0.6 * far))

    def _in_cell(self, joints: np.ndarray) -> tuple[list[list[float]], list[float]]:
        """Pixels of the cell and depths of (J, 3) metres, as plain numbers."""
        pixels, depth = self._view(joints)
        return pixels.tolist(), depth.tolist()

    def _empty_panel(self, width: int, height: int, footer: int) -> np.ndarray:
        panel = np.full((height, width, 3), BACKGROUND, np.uint8)
        for x, y in self._cells:
            self._draw_floor(panel[y : y + self._view.height, x : x + self._view.width])
        self._draw_legend(panel[height - footer :])
        return panel

    def _draw_floor(self, cell: np.ndarray) -> None:
        """A grid of half metres, fading towards its border."""
        ticks = np.arange(-_REACH, _REACH + _GRID / 2, _GRID)
        steps = np.linspace(-_REACH, _REACH, 17)
        for along in (0, 2):
            for tick in ticks:
                points = np.zeros((len(steps), 3))
                points[:, along], points[:, 2 - along] = steps, tick
                pixels, _ = self._in_cell(points)
                fade = np.clip(np.hypot(points[:, 0], points[:, 2]) / (1.2 * _REACH), 0, 1) ** 2
                for i in range(len(steps) - 1):
                    stroke(cell, pixels[i], pixels[i + 1], mix(FLOOR, BACKGROUND, float(fade[i : i + 2].mean())), 1)

    def _draw_legend(self, footer: np.ndarray) -> None:
        height = max(8.0, 11 * self._unit)
        middle, x = footer.shape[0] * 0.42, 1.35 * height
        guessed = any(not known[self._lifted[id_]].all() for id_, known in self._known.items())
        sides = (("left", LEFT), ("right", RIGHT), ("not seen", GUESS))
        for name, colour in sides if guessed else sides[:2]:
            dot(footer, (x + height / 2, middle), colour, 0.5 * height)
            x += 1.7 * height
            x += text(footer, x, middle, name, TEXT, height) + 1.5 * height
        note = f"grid {_GRID} m"
        note_x = footer.shape[1] - text_width(note, height) - 1.4 * height
        if note_x > x:
            text(footer, note_x, middle, note, QUIET_TEXT, height)


def _level(up: np.ndarray) -> np.ndarray:
    """(3, 3) rotation from the camera's frame to that of a level camera at the same place, which looks the same way.

    Of one that looks straight down or up, the top of the picture is taken for the way it looks.
    """
    down = -up
    ahead = np.array([0.0, 0.0, 1.0]) - down[2] * down
    if np.linalg.norm(ahead) < 1e-3:
        ahead = np.array([0.0, -1.0, 0.0]) + down[1] * down
    ahead = ahead / np.linalg.norm(ahead)
    return np.stack([np.cross(down, ahead), down, ahead])


def _slots(tracks: tuple[Track, ...]) -> dict[int, int]:
    """Track id -> cell: the lowest one that is free while the track lasts, so that nobody changes places.

    Somebody who only passes by makes no cell: they appear in one that others leave free, or not at all.
    """
    longest = max((_lasts(track) for track in tracks), default=0.0)
    passing = min(_PASSING, longest / 2)
    taken: list[list[tuple[int, int]]] = []
    slots = {}
    for track in sorted(tracks, key=lambda t: (_lasts(t) < passing, int(t.frames[0]))):
        first, last = int(track.frames[0]), int(track.frames[-1])
        is_free = (all(last < start or first > end for start, end in spans) for spans in taken)
        slot = next((i for i, free in enumerate(is_free) if free), len(taken))
        if slot == MAX_CELLS or (slot == len(taken) and _lasts(track) < passing):
            continue
        if slot == len(taken):
            taken.append([])
        taken[slot].append((first, last))
        slots[track.id] = slot
    return slots


def _lasts(track: Track) -> float:
    """Seconds."""
    return float(track.times[-1] - track.times[0])


def _grid(count: int, across: float, down: float) -> tuple[int, int, float]:
    """Columns, rows and pixels per metre that show a number of bodies largest.

    `across` and `down` are the pixels per metre at which one body would fill the panel from border to border; each
    gets a margin, the larger one above and below.
    """
    shapes = [(columns, -(-count // columns)) for columns in range(1, count + 1)]
    scales = [min(0.84 * across / columns, 0.74 * down / rows) for columns, rows in shapes]
    best = int(np.argmax(scales))
    return *shapes[best], scales[best]


def _levelled(track: Track, skeleton: Skeleton, level: np.ndarray) -> np.ndarray:
    """(N, J, 3) float32, the whole body turned."""
    joints = np.empty((len(track), len(skeleton) if track.joints.shape[1] else 0, 3), np.float32)
    for rows in pieces(len(track)):
        joints[rows] = whole_joints(part_of(track, rows), skeleton) @ level.T
    return joints


def _extent(people: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Metres that nearly all poses take up, from the lowest to the highest joint, and across.

    Args:
        people: (N, J, 3) joints of each, and (N,) which rows have them.
    """
    heights, reaches = [], []
    for joints, there in people:
        for rows in pieces(len(joints)) if there.any() else ():
            poses = joints[rows][there[rows]]
            # Of two numbers, `fmax` takes the one that is a number: feet and hands may be absent.
            heights.append(np.fmax.reduce(poses[..., 1], axis=1) - np.fmin.reduce(poses[..., 1], axis=1))
            reaches.append(np.fmax.reduce(np.hypot(poses[..., 0], poses[..., 2]), axis=1))
    if not any(map(len, heights)):
        return 1.2, 1.2
    tall, wide = (np.percentile(np.concatenate(one), 97) for one in (heights, reaches))
    return max(float(tall), 1.2), max(2 * float(wide), 1.2)


def _floor(times: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(N,) the height of the floor under the body, metres below the root: that of the lowest joint, without jitter."""
    lowest = np.fmax.reduce(joints[..., 1], axis=1)
    known = np.isfinite(lowest)
    interval = (times[-1] - times[0]) / max(1, len(times) - 1) or 1.0
    sigma = _FLOOR_MEMORY / 2 / interval
    total = gaussian_filter1d(known.astype(float), sigma)
    weighted = gaussian_filter1d(np.where(known, lowest, 0.0), sigma)
    return np.divide(weighted, total, out=np.zeros(len(times)), where=known)
