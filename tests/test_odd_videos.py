"""Every kind of video in the table of odd_videos.py, and the page that is written from it."""

import logging
from pathlib import Path
from types import SimpleNamespace

import clips
import numpy as np
import odd_recordings
import odd_videos
import pytest
from av.stream import Disposition
from video_kinds import KINDS, Kind, Refused

from vidpose.common.errors import VidposeError
from vidpose.video import VideoReader
from vidpose.video.container import choose_stream


@pytest.mark.parametrize("kind", KINDS, ids=[f"{one.make.__name__} {n}" for n, one in enumerate(KINDS)])
def test_a_kind_of_video(kind: Kind, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = kind.make(tmp_path)
    if isinstance(kind.right, Refused):
        with pytest.raises(VidposeError) as error:
            VideoReader(path)
        assert kind.right.message in str(error.value)
        assert "\n" not in str(error.value)
        return
    with caplog.at_level(logging.WARNING), VideoReader(path) as video:
        frames = list(video)
    right = kind.right
    assert (video.width, video.height) == right.size
    assert len(frames) == right.frames
    assert frames[0].image.shape == (*right.size[::-1], 3)
    assert (np.diff(video.times) > 0).all()
    assert video.times[0] == pytest.approx(right.first, abs=1e-3)
    if right.last is not None:
        assert video.times[-1] == pytest.approx(right.last, abs=2e-3)
    assert video.truncated == right.truncated
    if right.greys:
        middles = [frame.image[right.size[1] // 2, right.size[0] // 2].astype(int) for frame in frames]
        wanted = np.array([[clips.grey_of(i)] * 3 for i in range(len(frames))])
        assert np.abs(np.array(middles) - wanted).max() <= right.tolerance
    if right.corners:
        assert clips.corners(frames[0].image) == right.corners
    if right.warning:
        assert right.warning in caplog.text
    else:
        assert caplog.text == ""


def test_fields_become_whole_pictures(tmp_path: Path):
    """A column of a moving edge is as even as the same column of a still one: no comb."""
    with VideoReader(odd_recordings.interlaced(tmp_path)) as video:
        pictures = [frame.image.astype(int) for frame in video]
    combs = [np.abs(np.diff(picture[8:-8, :, 0], axis=0)).mean() for picture in pictures[1:-1]]
    assert max(combs) < 3


def test_a_picture_in_tiles_is_refused():
    """A phone's HEIC: FFmpeg gives every tile as a stream that depends on the others."""
    tiles = [SimpleNamespace(disposition=Disposition.dependent, codec_context=None)] * 4
    container = SimpleNamespace(streams=SimpleNamespace(video=tiles))
    with pytest.raises(VidposeError, match=r"a\.heic: a picture in tiles, as phones write HEIC; name it .heic"):
        choose_stream(container, Path("a.heic"))


def test_the_page_is_the_table():
    assert odd_videos.PAGE.read_text(encoding="utf-8") == odd_videos.page()
