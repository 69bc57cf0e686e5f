"""A page to look at a result: the video, the skeletons on it and in space, the joint angles, all in step.

One HTML file that holds everything and fetches nothing, so that a double click opens it anywhere. `page/` has its
parts: markup, style and scripts, which run as they are. Data goes in as base64 of 16-bit steps: small, and quick to
read.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body import colours as style
from vidpose.body.joint_angles import track_angles
from vidpose.body.skeletons import SKELETONS, Skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.body.whole_body import known_whole, whole_skeleton
from vidpose.body_models.anny_model import anny
from vidpose.common.files import replacing
from vidpose.export.page_bodies import RigidParts, page_body
from vidpose.export.page_film import frames_to_show, small_film
from vidpose.export.placing import Placement
from vidpose.export.scene import ViewerScene

_PARTS = Path(__file__).parent / "page"
_SCRIPTS = ("data", "picture", "scene", "bodies", "curves", "player", "shell", "page")

_ABSENT = -32768

_MOST_CUTS = 8
"""That one line has room for."""

COLOURS = {
    "left": style.LEFT,
    "right": style.RIGHT,
    "middle": style.CENTRE,
    "background": style.BACKGROUND,
    "floor": style.FLOOR,
    "shadow": style.SHADOW,
    "outline": style.OUTLINE,
    "text": style.TEXT,
    "quiet": style.QUIET_TEXT,
    "guess": style.GUESS,
}


def write_html(
    result: PoseResult,
    path: Path,
    *,
    video: Path | None = None,
    meshes: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the page of a result.

    It shows the time from a second before the first person until a second after the last; the whole video where there
    is nobody. People stand where they are known to be, else side by side.

    Args:
        result: the people; without 3D joints the page shows them in the picture only.
        path: of the HTML file.
        video: of the result, to put into the page; None leaves it out.
        meshes: show whoever has rotations as a skinned body, too.
        progress: called after every frame of the video with the frames decoded so far and those of the whole video.

    Raises:
        VidposeError: the video cannot be read or is not the one of the result; the page cannot be written.
    """
    film = b"" if video is None else small_film(result, video, progress)
    whole = assembled(
        _part("page.html"),
        title=Path(result.source.path).name,
        scripts=_SCRIPTS,
        data=_data(result, meshes),
        film=base64.b64encode(film).decode("ascii"),
    )
    with replacing(path) as partial:
        partial.write_text(whole, encoding="utf-8", errors="backslashreplace")


def write_page(result: PoseResult, path: Path) -> None:
    """Write the page of a result, with the video if it is still where the result has it.

    Raises:
        VidposeError: the video cannot be read or is not the one of the result; the page cannot be written.
    """
    video = Path(result.source.path)
    write_html(result, path, video=video if result.source.pictures and video.exists() else None)


def assembled(
    markup: str,
    *,
    title: str,
    scripts: Sequence[str],
    data: Mapping[str, Any],
    more_style: str = "",
    more_script: str = "",
    film: str = "",
) -> str:
    """A page that needs no other file.

    Args:
        markup: HTML with places to fill, `{{title}}` and so on.
        scripts: names of those in `page/`.
        data: what they read.
        more_style, more_script: to be added behind ours.
        film: base64 of a video.
    """
    variables = "".join(f" --{name}: rgb({r} {g} {b});" for name, (r, g, b) in COLOURS.items())
    contents = {
        "title": html.escape(title),
        "style": f":root {{{variables} }}\n" + _part("page.css") + more_style,
        "script": "\n".join([*(_part(f"{name}.js") for name in scripts), more_script]),
        # Inside a script element, only "<" could end it early.
        "data": json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "film": film,
        "legend": _part("legend.html"),
        "space": _part("space.html"),
    }
    # In one pass, so that nothing that was put in is taken for a place to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: contents[match[1]], markup)


def _part(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")


def _data(result: PoseResult, meshes: bool) -> dict[str, Any]:
    """Everything the scripts read; page/data.js is the other end."""
    source, frames, scene = result.source, frames_to_show(result), ViewerScene.of(result)
    people = [_person(result, track, scene, frames.start) for track in result.tracks]
    return {
        "facts": _facts(result, frames),
        "width": source.width,
        "height": source.height,
        "firstFrame": frames.start,
        "times": _base64(source.times[frames.start : frames.stop].astype("<f8")),
        "layout2d": drawn_layout(SKELETONS.get(result.keypoint_layout)),
        "layout3d": drawn_layout(whole_skeleton(result) if result.joint_layout in SKELETONS else None),
        "people": people,
        "model": _add_bodies(people, result, scene) if meshes else None,
        "bounds": [scene.low.tolist(), scene.high.tolist()],
        "floors": [asdict(floor) | {"spacing": floor.spacing} for floor in scene.floors],
        "placeNote": _place_note(scene),
        "colours": COLOURS,
        "provenance": {**result.provenance, **_placing_in_words(result)},
    }


def _placing_in_words(result: PoseResult) -> dict[str, str | None]:
    """How people were placed, by one camera or by several, as the page lists it."""
    placing, view = result.placing, result.agreement

    def by_person(numbers: Mapping[int, float], unit: str) -> str | None:
        return ", ".join(f"{id_}: {number:.3g} {unit}" for id_, number in numbers.items()) or None

    if view:
        pixels, share = view.reprojection_px, view.triangulated
        return {
            "camera": f"{view.camera}, one of {view.views}",
            "reprojection_error": None if pixels is None else f"{pixels:.1f} px",
            "triangulated": None if share is None else f"{share:.0%}",
        }
    if placing:
        return {
            "focal_length_from": placing.focal_from,
            "heights": by_person(placing.heights, "m"),
            "reprojection_error": by_person(placing.reprojection_px, "px"),
        }
    return {}


def _person(result: PoseResult, track: Track, scene: ViewerScene, first_frame: int) -> dict[str, Any]:
    angles = track_angles(result, track) if track.id in scene.joints else {}
    return {
        "id": track.id,
        "colour": style.id_colour(track.id),
        "first": int(track.frames[0]) - first_frame,
        "rows": len(track),
        "keypoints": _packed(track.keypoints, 1 / 8),
        "scores": _base64(np.rint(255 * np.nan_to_num(track.scores)).clip(0, 255).astype(np.uint8)),
        "joints": _packed(scene.joints.get(track.id, np.full((*track.joints.shape[:2], 3), np.nan)), 1e-3),
        "known": _base64(known_whole(result, track).astype(np.uint8)),
        "angles": {name: _packed(curve, 0.1) for name, curve in angles.items()},
    }


def _add_bodies(people: list[dict[str, Any]], result: PoseResult, scene: ViewerScene) -> dict[str, Any] | None:
    """Give people their bodies, and return the mesh that these share; None where nobody has one."""
    model = anny()
    parts = RigidParts.of(model)
    for person, track in zip(people, result.tracks, strict=True):
        if track.id in scene.joints and (body := page_body(result, track, scene.joints[track.id], model, parts)):
            person["body"] = {
                "rest": _packed(body.rest, 1e-4),
                "heads": _packed(body.heads, 1e-4),
                "turns": _packed(body.turns, 1 / 32767),
                "roots": _packed(body.roots, 1e-3),
            }
    if not any("body" in person for person in people):
        return None
    return {
        "parents": parts.parents,
        "faces": _base64(model.faces.astype("<u2")),
        "weights": _base64(np.rint(255 * parts.weights).astype(np.uint8)),
    }


def _facts(result: PoseResult, frames: range) -> str:
    """One line about the video and who is in it."""
    source = result.source
    people = {0: "nobody found", 1: "1 person"}.get(len(result.tracks), f"{len(result.tracks)} people")
    seconds = source.times[frames.stop - 1] - source.times[frames.start]
    count = "1 frame" if len(frames) == 1 else f"{len(frames)} frames"
    rate = f", {float(source.fps):.4g} a second" if source.fps else ""
    cuts = ", ".join(f"{source.times[frame]:.2f} s" for frame in source.cuts[:_MOST_CUTS])
    cuts += ", ..." if len(source.cuts) > _MOST_CUTS else ""
    said = f" · {'cut' if len(source.cuts) == 1 else 'cuts'} at {cuts}" if cuts else ""
    return f"{people} · {seconds:.1f} s, {count}{rate} · {source.width} x {source.height}{said}"


def _place_note(scene: ViewerScene) -> str:
    if not scene.joints:
        return "No 3D skeletons in this result."
    place = {
        Placement.ROOT: "Relative to the pelvis.",
        Placement.CAMERA: "Where a level camera would see them; no floor was found.",
        Placement.WORLD: "In the world, on its floor.",
    }[scene.place]
    if scene.place is Placement.ROOT and len(scene.floors) > 1:
        place = "Side by side: where people are is not known."
    return f"{place} Grid {scene.floors[0].spacing:g} m."


def drawn_layout(skeleton: Skeleton | None) -> dict[str, Any]:
    """How to draw a layout; that of a result without 3D joints has nothing to draw."""
    if skeleton is None:
        return {"bones": [], "colours": [], "dots": [], "head": []}
    head = {*style.face_joints(skeleton), *(i for i, joint in enumerate(skeleton.joints) if "head" in joint)}
    return {
        "bones": [(bone.start, bone.end, bone.colour, bone.weight) for bone in style.bones_of(skeleton)],
        "colours": style.joint_colours(skeleton),
        "dots": style.main_joints(skeleton),
        "head": sorted(head),
    }


def _packed(values: np.ndarray, step: float) -> dict[str, Any]:
    """Numbers as 16-bit multiples of a step, which grows where they would not fit."""
    known = values[np.isfinite(values)]
    step = max(step, float(np.abs(known).max(initial=0)) / 32767)
    steps = np.where(np.isfinite(values), np.rint(np.nan_to_num(values) / step), _ABSENT)
    return {"step": step, "data": _base64(steps.astype("<i2"))}


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
