"""Tables as spreadsheets of other countries and systems save them: each reader gives what it gives of the plain one."""

from collections.abc import Callable
from pathlib import Path

import exports
import numpy as np
import pytest

from vidpose.body.skeletons import COCO_17
from vidpose.common.cells import read_cells
from vidpose.common.errors import VidposeError
from vidpose.export import FORMATS
from vidpose.keypoint_files import read_keypoints
from vidpose.people.boxes import BoxesFile

DIALECTS: dict[str, Callable[[str], bytes]] = {
    "Windows": lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    "old Macintosh": lambda text: text.replace("\n", "\r").encode(),
    "German": lambda text: text.replace(",", ";").replace(".", ",").encode(),
    "Excel": lambda text: ("sep=;\n" + text.replace(",", ";")).encode(),
    "Unicode text": lambda text: text.replace(",", "\t").encode("utf-16"),
    "spaces": lambda text: text.replace(",", ", ").encode(),
    "comments": lambda text: ("# made by hand\n\n" + text).encode(),
    "empty lines": lambda text: text.replace("\n", "\n\n").encode(),
    "quotes": lambda text: "\n".join(",".join(f'"{c}"' for c in row.split(",")) for row in text.split()).encode(),
}


def table(rows: list[list[object]]) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def landmarks() -> str:
    values = np.random.default_rng(1).uniform(0.2, 0.8, (3, 33, 3)).round(3)
    names = [f"{axis}{joint}" for joint in range(33) for axis in "xyv"]
    return table([["frame", *names], *([frame, *row.ravel()] for frame, row in enumerate(values))])


def deeplabcut() -> str:
    values = np.random.default_rng(2).uniform(10, 200, (3, 17, 3)).round(2)
    values[..., 2] = 0.9
    heads = [[name] * 51 for name in ("net",)] + [[joint for joint in COCO_17.joints for _ in range(3)]]
    heads.append(["x", "y", "likelihood"] * 17)
    named = [[name, *head] for name, head in zip(("scorer", "bodyparts", "coords"), heads, strict=True)]
    return table([*named, *([frame, *row.ravel()] for frame, row in enumerate(values))])


def own(folder: Path) -> str:
    joints = np.random.default_rng(3).normal(0, 0.3, (3, 17, 3))
    [path] = FORMATS["csv"].write(exports.result_of(exports.track_of(joints)), folder / "own")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", ["landmarks", "deeplabcut", "own"])
def test_keypoints_are_the_same_in_every_dialect(kind: str, dialect: str, tmp_path: Path):
    text = {"landmarks": landmarks, "deeplabcut": deeplabcut, "own": lambda: own(tmp_path)}[kind]()
    plain, other = tmp_path / "plain.csv", tmp_path / "other.csv"
    plain.write_text(text, encoding="utf-8")
    other.write_bytes(DIALECTS[dialect](text))
    wanted, found = read_keypoints(plain), read_keypoints(other)
    assert wanted.layout == found.layout
    np.testing.assert_array_equal(found.frames, wanted.frames)
    np.testing.assert_array_equal(found.keypoints, wanted.keypoints)
    np.testing.assert_array_equal(found.scores, wanted.scores)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "text",
    ["frame,x0,y0,x1,y1,score\n0,1.5,2,30,40,0.5\n2,1,2,30,41,0.25\n",
     "1,-1,1.5,2,28.5,38,0.5,-1,-1,-1\n3,-1,1,2,29,39,0.25,-1,-1,-1\n"],
    ids=["named", "MOTChallenge"],
)  # fmt: skip
def test_boxes_are_the_same_in_every_dialect(text: str, dialect: str, tmp_path: Path):
    path = tmp_path / "boxes.csv"
    path.write_bytes(DIALECTS[dialect](text))
    boxes, image = BoxesFile(path), np.zeros((60, 60, 3), np.uint8)
    np.testing.assert_array_equal(boxes.detect(image, index=0).boxes, [[1.5, 2, 30, 40]])
    np.testing.assert_array_equal(boxes.detect(image, index=1).boxes, np.zeros((0, 4)))
    np.testing.assert_array_equal(boxes.detect(image, index=2).boxes, [[1, 2, 30, 41]])
    np.testing.assert_array_equal(boxes.detect(image, index=2).scores, [0.25])


def test_a_line_keeps_its_number(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"# one\n\nname;value\n\n a ; 1,5 \nb;1,5e3\nc;x,y\n")
    assert list(read_cells(path)) == [
        (3, ["name", "value"]), (5, ["a", "1.5"]), (6, ["b", "1.5e3"]), (7, ["c", "x,y"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"scorer,net\nbodyparts,\xff\n", "it is no text in UTF-8, from byte 21 on"),
     (landmarks().replace("\n1,", "\n1,no").encode(), "line 3: 'no0"),
     (deeplabcut().replace("\n2,", "\n2,5,").encode(), "line 6 has 52 numbers, where 51 are due")],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(content: bytes, message: str, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(VidposeError, match=message) as error:
        read_keypoints(path)
    assert "\n" not in str(error.value)
