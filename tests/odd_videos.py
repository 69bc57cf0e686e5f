"""Videos and pictures as people have them: a table of kinds, each made on the spot, with what is right for it.

`docs/videos.md` is this table in words (`python tests/odd_videos.py`), and tests/test_odd_videos.py tries every row.
"""

from __future__ import annotations

import re
from pathlib import Path

# Each puts its rows into the table, in the order of the page.
import odd_pictures  # noqa: F401
import odd_recordings  # noqa: F401
import odd_relics  # noqa: F401
from video_kinds import KINDS

PAGE = Path(__file__).parents[1] / "docs" / "videos.md"

_HEAD = """# What videos work

Whatever FFmpeg decodes is read: the tests make each of these and look at what comes out. This page is written from
their table (`python tests/odd_videos.py`).
"""

_TAIL = """
## Time

- Every frame has its own time, from the file. A constant rate is never assumed; exports that need one take the median
  interval, and rows in a pause are empty (TRC, C3D) or hold the last pose (BVH, MOT).
- Where time jumps by more than `--max-gap`, a stretch ends: nothing is lifted, smoothed or fitted across.
- After a pause of more than a minute, whoever is there is somebody new.
- `--fps` says how many pictures a second there are (`25`, `30000/1001`), for folders, and for videos whose own times
  are wrong. `--slow-motion 8` says that a video shows things eight times slower than they were; times, filters, speeds
  and exports are then those of life.

## Cuts

Cuts are looked for by how the picture changes, people end there, and the result says where they are (`--cuts none` does
not look; `--cuts FILE` takes them from a text file with a frame's number, or seconds of life as in 12.5 or 1:02, a
line). Found are hard cuts and those through black. Slow dissolves, and cuts between two views that look alike, are not.

## Several videos

Videos of one name get their folders' names in front: `cam1/video.mp4` and `cam2/video.mp4` become `cam1_video` and
`cam2_video`. One that cannot be read stops no other: the rest are done, and the exit code and the last line say so.
"""


def page() -> str:
    """The table as Markdown."""
    lines = [_HEAD]
    for section in dict.fromkeys(one.section for one in KINDS):
        lines += [f"## {section}", "", "| what | what vidpose does |", "|---|---|"]
        rows = dict.fromkeys((one.name, one.answer) for one in KINDS if one.section == section)
        lines += [f"| {name} | {answer} |" for name, answer in rows]
        lines.append("")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip("\n") + "\n" + _TAIL


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
