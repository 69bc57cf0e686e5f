"""Results for other programs: one file a format, all of them in `FORMATS`, which imports one when it is written.

docs/exports.md says what each format holds and how it was checked.
"""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidpose.body.bone_names import BONE_NAMES, bone_names
from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.errors import UsageError, did_you_mean
from vidpose.common.lazy import imported
from vidpose.export.placing import Placement, has_pose, left_out, place_of, placed_people

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportFormat:
    """One way to write a result.

    Attributes:
        suffix: what the names of its files end in.
        write_all: "module:function" that writes everybody to a path; "" for a format with a file a person.
        write_person: the same that writes one person to a path, for a format with a file a person.
        paths_of: the same that gives the files that `write_person` then makes; "": the one.
        joints: it is of 3D joints, and there is nothing to write of somebody without.
        choices: names of what a user may choose about it: keyword arguments that its function takes.
    """

    suffix: str
    write_all: str = ""
    write_person: str = ""
    paths_of: str = ""
    joints: bool = False
    choices: frozenset[str] = frozenset()

    def paths(self, result: PoseResult, stem: Path) -> list[Path]:
        """The files, or the folder, that `write` would make."""
        people = _people(result, self.joints)
        if self.write_person:
            if self.paths_of:
                paths_of = imported(self.paths_of)
                return [path for track in people for path in paths_of(result, track, self._path(stem, track.id))]
            return [self._path(stem, track.id) for track in people]
        return [_with(stem, self.suffix)] if people or not self.joints else []

    def present(self, stem: Path) -> list[Path]:
        """What is there already of earlier results, whoever was in them."""
        if self.write_person:
            return sorted(stem.parent.glob(f"{glob.escape(stem.name)}_person[0-9]*{self.suffix}"))
        return [path for path in (_with(stem, self.suffix),) if path.exists()]

    def write(self, result: PoseResult, stem: Path, **chosen: Any) -> list[Path]:
        """Write a result; gives the files, or the folder.

        Args:
            result: whose people shall be written.
            stem: folder and beginning of the files' names, as in `out/walk`.
            chosen: what the user chose, by name; what is not of `choices` is another format's, and passed over.

        Raises:
            UsageError: the format cannot hold the result's joint layout.
            VidposeError: a file cannot be written.
        """
        people, paths = _people(result, self.joints), self.paths(result, stem)
        chosen = {name: value for name, value in chosen.items() if name in self.choices}
        for person, lack in left_out(result) if self.joints else ():
            log.warning("person %d has no %s, and is left out of %s", person, lack, self.suffix)
        if self.write_person:
            for track in people:
                imported(self.write_person)(result, track, self._path(stem, track.id), **chosen)
        elif paths:
            imported(self.write_all)(result, paths[0], **chosen)
        return paths

    def stem_of(self, path: Path) -> Path:
        """A path without what this format puts behind it: `out/walk` of `out/walk.bvh`."""
        return path.with_name(path.name.removesuffix(self.suffix).removesuffix(Path(self.suffix).suffix) or path.name)

    def _path(self, stem: Path, person: int) -> Path:
        return _with(stem, f"_person{person}{self.suffix}")


FORMATS: dict[str, ExportFormat] = {
    "bvh": ExportFormat(".bvh", write_person="vidpose.export.bvh:write_bvh", joints=True, choices=frozenset({"bones"})),
    "c3d": ExportFormat(
        ".c3d", write_person="vidpose.export.c3d:write_c3d", paths_of="vidpose.export.c3d:c3d_paths", joints=True
    ),
    "coco": ExportFormat("_coco.json", write_all="vidpose.export.coco:write_coco"),
    "csv": ExportFormat(".csv", write_all="vidpose.export.csv:write_csv"),
    "gltf": ExportFormat(".glb", write_all="vidpose.export.gltf:write_gltf", joints=True, choices=frozenset({"bones"})),
    "html": ExportFormat(".html", write_all="vidpose.export.html:write_page"),
    "json": ExportFormat(".json", write_all="vidpose.export.json:write_json"),
    "mot": ExportFormat(
        ".mot", write_person="vidpose.export.mot:write_mot", joints=True, choices=frozenset({"heading"})
    ),
    "openpose": ExportFormat("_openpose", write_all="vidpose.export.openpose:write_openpose"),
    "opensim": ExportFormat(
        "_opensim", write_person="vidpose.export.opensim:write_opensim", joints=True, choices=frozenset({"heading"})
    ),
    "trc": ExportFormat(
        ".trc", write_person="vidpose.export.trc:write_trc", joints=True, choices=frozenset({"heading"})
    ),
}
"""Name on the command line -> the format."""

_ALSO = {"glb": "gltf"}
"""Other names of formats."""


def get_formats(names: Iterable[str]) -> dict[str, ExportFormat]:
    """The formats of these names, each once, in their order. A name may be several with commas between.

    Raises:
        UsageError: there is none of a name; says which is near.
    """
    found = {}
    for name in (_ALSO.get(name.strip(), name.strip()) for listed in names for name in listed.split(",")):
        if name not in FORMATS:
            advice = f"{did_you_mean(name, FORMATS)}known are {', '.join(FORMATS)}"
            raise UsageError(f"format {name!r}: no such format; {advice}")
        found[name] = FORMATS[name]
    return found


def check_choices(chosen: Mapping[str, Any], formats: Mapping[str, ExportFormat]) -> None:
    """See that what was chosen is there, and about one of these formats.

    Raises:
        UsageError: it is not; says which formats it is about.
    """
    for name, value in chosen.items():
        if name == "bones":
            bone_names(str(value), H36M_17)
        if name == "heading" and not -360 <= value <= 360:
            raise UsageError(f"`heading={value}`: a number of degrees from -360 to 360 is wanted")
        if not any(name in format_.choices for format_ in formats.values()):
            takers = ", ".join(other for other, format_ in FORMATS.items() if name in format_.choices)
            raise UsageError(f"`{name}={value}`: not about {', '.join(formats)}; it is about {takers}")


def _people(result: PoseResult, with_joints: bool) -> list[Track]:
    return placed_people(result) if with_joints else list(result.tracks)


def _with(stem: Path, suffix: str) -> Path:
    """A name's dots are its own: `with_suffix` would cut "clip.v2" short."""
    return stem.with_name(stem.name + suffix)


__all__ = [
    "BONE_NAMES",
    "FORMATS",
    "ExportFormat",
    "Placement",
    "check_choices",
    "get_formats",
    "has_pose",
    "place_of",
]
