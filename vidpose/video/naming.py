"""What the files of a video are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vidpose.common.errors import UsageError
from vidpose.common.files import resolved


def name_of(video: Path) -> str:
    """The file's stem, or the folder's name."""
    return resolved(video).name if video.is_dir() else video.stem


def distinct_names(videos: Sequence[Path]) -> list[str]:
    """A name for each, no two alike: `name_of`, and where that is not enough, the folders before it or the suffix.

        >>> distinct_names([Path("cam1/video.mp4"), Path("cam2/video.mp4"), Path("dance.mp4")])
        ['cam1_video', 'cam2_video', 'dance']

    Raises:
        UsageError: one video is given twice, or folders and names only differ where they are put together.
    """
    files = [resolved(video) for video in videos]
    named: set[Path] = set()
    for given, video in zip(videos, files, strict=True):
        if video in named:
            raise UsageError(f"{given}: given twice; name each video once")
        named.add(video)
    beside = Counter((video.parent, name_of(video)) for video in files)
    ends = [
        name_of(video) + (f"_{video.suffix[1:]}" if beside[video.parent, name_of(video)] > 1 else "") for video in files
    ]
    folders = [video.parts[1:-1] for video in files]
    depths = [0] * len(videos)
    while True:
        names = [
            "_".join((*path[len(path) - depth :], end)) for path, depth, end in zip(folders, depths, ends, strict=True)
        ]
        counted = Counter(names)
        alike = [i for i, name in enumerate(names) if counted[name] > 1]
        deeper = [i for i in alike if depths[i] < len(folders[i])]
        if alike and not deeper:
            both = " and ".join(str(videos[i]) for i in alike[:2])
            raise UsageError(f"{both} would both be written as {names[alike[0]]!r}; run them with different `out`")
        if not alike:
            return names
        for i in deeper:
            depths[i] += 1
