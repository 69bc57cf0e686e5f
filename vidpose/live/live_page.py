"""The page of a live run: the picture with the skeletons, the skeletons in space, and how late they are.

It draws by the scripts of the page of a saved result; `page/` has what differs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body import colours
from vidpose.body.geometry import CAMERA_TO_Z_UP
from vidpose.body.seen import known_joints
from vidpose.body.skeletons import get_skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.export.html import COLOURS, assembled, drawn_layout
from vidpose.live.outlet import LiveFrame

_PARTS = Path(__file__).parent / "page"


def page(nobody: PoseResult) -> str:
    """The page as HTML, for results like this one without frames."""
    source = nobody.source
    data = {
        "width": source.width,
        "height": source.height,
        "layout2d": drawn_layout(get_skeleton(nobody.keypoint_layout)),
        "layout3d": drawn_layout(get_skeleton(nobody.joint_layout)),
        "colours": COLOURS,
        "provenance": dict(nobody.provenance),
    }
    pieces = assembled(
        (_PARTS / "live.html").read_text(encoding="utf-8"),
        title=source.path,
        more_style=(_PARTS / "live.css").read_text(encoding="utf-8"),
        scripts=("data", "picture", "scene", "shell"),
        more_script=(_PARTS / "live.js").read_text(encoding="utf-8"),
        data=data,
    )
    return "".join(pieces)


def page_message(frame: LiveFrame) -> str:
    """A frame as `live.js` reads it."""
    return json.dumps(
        {
            "time": round(frame.captured.frame.time, 3),
            "dropped": frame.captured.dropped,
            "latency": round(frame.latency(), 1),
            "people": [_person(frame, track) for track in frame.result.tracks],
        },
        allow_nan=False,
    )


def _person(frame: LiveFrame, track: Track) -> dict[str, Any]:
    root = np.nan_to_num(track.roots[0].astype(np.float64))
    space = (track.joints[0] + root) @ CAMERA_TO_Z_UP.T - (0, 0, frame.floor)
    return {
        "id": track.id,
        "colour": colours.id_colour(track.id),
        "keypoints": np.nan_to_num(track.keypoints[0]).round(1).ravel().tolist(),
        "scores": np.rint(255 * np.nan_to_num(track.scores[0])).clip(0, 255).astype(int).tolist(),
        "joints": space.round(3).ravel().tolist() if np.isfinite(space).all() else None,
        "known": known_joints(frame.result, track)[0].astype(int).tolist(),
    }
