"""A page to look at a result: the video, the skeletons on it and in space, the joint angles, all in step.

One HTML file that holds everything and fetches nothing, so that a double click opens it anywhere. `page/` has its
parts: markup, style and scripts, which run as they are. Data goes in as base64 of 16-bit steps: small, and quick to
read. `page_length.py` says what of a long video is in it.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from vidpose.common.tally import ProgressOf, Tally, unseen
from vidpose.export.page_bodies import RigidParts, has_rotations, page_body
from vidpose.export.page_film import small_film
from vidpose.export.page_length import PageLength, only
from vidpose.export.page_packing import Packing, plain
from vidpose.export.placing import Placement
from vidpose.export.scene import ViewerScene

log = logging.getLogger(__name__)

_PARTS = Path(__file__).parent / "page"
_SCRIPTS = ("data", "picture", "scene", "bodies", "curves", "player", "shell", "page")

_BLOCK = 3 << 18
"""Bytes that are turned into base64 at a time, which ends even after every third."""

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
    progress: ProgressOf = unseen,
) -> None:
    """Write the page of a result.

    It shows the time from a second before the first person until a second after the last; the whole video where there
    is nobody. People stand where they are known to be, else side by side.

    Args:
        result: the people; without 3D joints the page shows them in the picture only.
        path: of the HTML file.
        video: of the result, to put into the page; None leaves it out.
        meshes: show whoever has rotations as a skinned body, too.
        progress: of the film, and of the bodies.

    Raises:
        VidposeError: the video cannot be read or is not the one of the result; the page cannot be written.
    """
    length = PageLength.of(result)
    film = b""
    if video is not None:
        with progress("film", "frames") as report:
            film = small_film(result, video, length, report)
    pieces = assembled(
        _part("page.html"),
        title=Path(result.source.path).name,
        scripts=_SCRIPTS,
        data=_data(result, length, meshes, progress),
        film=(base64.b64encode(film[at : at + _BLOCK]).decode("ascii") for at in range(0, len(film), _BLOCK)),
    )
    with replacing(path) as partial, partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(pieces)
    if length.frames.step > 1:
        log.warning("%s: the video is long, and the page shows %s", path, _spared(length))


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
    film: Iterable[str] = (),
) -> Iterator[str]:
    """A page that needs no other file, piece by piece: a long one is never whole in memory.

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
        "legend": _part("legend.html"),
        "space": _part("space.html"),
    }
    # In one pass, so that nothing that was put in is taken for a place to fill: every second piece is the name of one.
    for i, piece in enumerate(re.split(r"\{\{(\w+)\}\}", markup)):
        if i % 2 and piece == "film":
            yield from film
        else:
            yield contents[piece] if i % 2 else piece


def _part(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")


def _data(whole: PoseResult, length: PageLength, meshes: bool, progress: ProgressOf) -> dict[str, Any]:
    """Everything the scripts read; page/data.js is the other end."""
    result, pack = only(whole, length.frames), Packing(tight=length.is_long)
    source, scene = result.source, ViewerScene.of(result)
    colours = style.id_colours(whole.tracks)
    people = [{"colour": colours[track.id], **_person(result, track, scene, pack)} for track in result.tracks]
    return {
        "facts": _facts(whole, length),
        "width": source.width,
        "height": source.height,
        "firstFrame": length.frames.start,
        "frameStep": length.frames.step,
        "times": plain(source.times.astype("<f8")),
        "layout2d": drawn_layout(SKELETONS.get(result.keypoint_layout)),
        "layout3d": drawn_layout(whole_skeleton(result) if result.joint_layout in SKELETONS else None),
        "people": people,
        "model": _add_bodies(people, result, scene, pack, progress) if meshes else None,
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


def _person(result: PoseResult, track: Track, scene: ViewerScene, pack: Packing) -> dict[str, Any]:
    angles = track_angles(result, track) if track.id in scene.joints else {}
    return {
        "id": track.id,
        "first": int(track.frames[0]),
        "rows": len(track),
        "keypoints": pack.numbers(track.keypoints, 1 / 8, 1 / 2),
        "scores": pack.bytes(np.rint(255 * np.nan_to_num(track.scores)).clip(0, 255)),
        "joints": pack.numbers(scene.joints.get(track.id, np.full((*track.joints.shape[:2], 3), np.nan)), 1e-3, 2e-3),
        "known": pack.bytes(known_whole(result, track)),
        "angles": {name: pack.numbers(curve, 0.1, 0.5) for name, curve in angles.items()},
    }


def _add_bodies(
    people: list[dict[str, Any]], result: PoseResult, scene: ViewerScene, pack: Packing, progress: ProgressOf
) -> dict[str, Any] | None:
    """Give people their bodies, and return the mesh that these share; None where nobody has one."""
    model = anny()
    parts = RigidParts.of(model)
    turned = [i for i, track in enumerate(result.tracks) if track.id in scene.joints and has_rotations(track)]
    if not turned:
        return None
    with progress("bodies", "poses") as report:
        tally = Tally(sum(len(result.tracks[i]) for i in turned), report)
        for i in turned:
            track = result.tracks[i]
            if body := page_body(result, track, scene.joints[track.id], model, parts, tally.add):
                people[i]["body"] = {
                    "rest": pack.numbers(body.rest, 1e-4),
                    "heads": pack.numbers(body.heads, 1e-4),
                    "turns": pack.numbers(body.turns, 1 / 32767, 1 / 1024),
                    "roots": pack.numbers(body.roots, 1e-3, 2e-3),
                }
            tally.finish(len(track))
    if not any("body" in person for person in people):
        return None
    return {
        "parents": parts.parents,
        "faces": plain(model.faces.astype("<u2")),
        "weights": plain(np.rint(255 * parts.weights).astype(np.uint8)),
    }


def _facts(result: PoseResult, length: PageLength) -> str:
    """One line about the video and who is in it."""
    source, frames = result.source, length.frames
    people = {0: "nobody found", 1: "1 person"}.get(len(result.tracks), f"{len(result.tracks)} people")
    seconds = source.times[frames[-1]] - source.times[frames[0]]
    count = frames.stop - frames.start
    counted = "1 frame" if count == 1 else f"{count} frames"
    rate = f", {float(source.fps):.4g} a second" if source.fps else ""
    cuts = ", ".join(f"{source.times[frame]:.2f} s" for frame in source.cuts[:_MOST_CUTS])
    cuts += ", ..." if len(source.cuts) > _MOST_CUTS else ""
    spared = f" · {_spared(length)} shown" if frames.step > 1 else ""
    said = f" · {'cut' if len(source.cuts) == 1 else 'cuts'} at {cuts}" if cuts else ""
    return f"{people} · {seconds:.1f} s, {counted}{rate} · {source.width} x {source.height}{said}{spared}"


def _spared(length: PageLength) -> str:
    """What of a long video is shown, in words."""
    return f"one frame in {length.frames.step}"


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
