import logging
import resource
from fractions import Fraction

import av
import clips
import numpy as np
import pytest
from clips import greys, noise_pictures, times

from vidpose.common.errors import UsageError, VidposeError
from vidpose.video import VideoReader, VideoWriter
from vidpose.video import writing as writing_module


def test_variable_times_survive(tmp_path, vfr_times):
    path = tmp_path / "copy.mp4"
    with VideoWriter(path, (96, 64), Fraction(30)) as writer:
        for index, time in enumerate(vfr_times):
            writer.write(clips.grey_picture(index), 3 + time)
    assert times(path) == pytest.approx(vfr_times, abs=1e-5)
    assert greys(path) == [clips.grey_of(i) for i in range(12)]
    with VideoReader(path) as video:
        list(video)
        assert not video.truncated
    assert list(tmp_path.iterdir()) == [path]


def test_a_largest_rate_holds_whatever_is_shown(tmp_path):
    for name, most_bits in (("free.mp4", None), ("held.mp4", 12_000)):
        with VideoWriter(tmp_path / name, (96, 64), most_bits=most_bits) as writer:
            for index, picture in enumerate(noise_pictures(60)):
                writer.write(picture, index)
    assert (tmp_path / "free.mp4").stat().st_size > 300_000
    assert (tmp_path / "held.mp4").stat().st_size < 1.2 * 60 * 12_000 / 8
    assert times(tmp_path / "held.mp4") == pytest.approx(range(60))
    # x264 writes how it was set: of more threads, two runs may make two films.
    assert b" threads=1 " in (tmp_path / "held.mp4").read_bytes()


def test_what_is_written_plays_in_a_browser(tmp_path):
    path = tmp_path / "Übung.mp4"
    with VideoWriter(path, (97, 63)) as writer:
        for index in range(3):
            writer.write(clips.grey_picture(index, 97, 63), index / 30)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (98, 64)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_colours_survive(tmp_path):
    path = tmp_path / "colours.mp4"
    with VideoWriter(path, (96, 64)) as writer:
        for index in range(2):
            writer.write(clips.corner_picture(), index / 30)
    with VideoReader(path) as video:
        image = next(iter(video)).image
    assert np.abs(image.astype(int) - clips.corner_picture()).mean() < 4
    assert clips.corners(image) == clips.corners(clips.corner_picture())


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_of_a_video_that_was_not_finished(tmp_path, exception):
    def break_off():
        with VideoWriter(tmp_path / "half.mp4", (96, 64)) as writer:
            writer.write(clips.grey_picture(0), 0)
            raise exception

    with pytest.raises(exception):
        break_off()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_and_a_file_where_a_folder_is_due(tmp_path):
    def write(path):
        with VideoWriter(path, (96, 64)) as writer:
            for index, picture in enumerate(noise_pictures(60)):
                writer.write(picture, index / 30)

    # A limit on file sizes fails like a full disk, in the middle of a write.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(VidposeError, match=r"full\.mp4: cannot write"):
            write(tmp_path / "full.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "gone").write_text("no folder")
    with pytest.raises(VidposeError, match=r"gone"):
        write(tmp_path / "gone" / "a.mp4")


def test_an_unknown_suffix_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match=r"\.mp4"):
        VideoWriter(tmp_path / "out.xyz", (96, 64))


def test_another_encoder_is_taken_with_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(writing_module, "_ENCODERS", ("no_such_encoder", "mpeg4"))
    with caplog.at_level(logging.WARNING), VideoWriter(tmp_path / "old.mp4", (96, 64)) as writer:
        for index in range(6):
            writer.write(clips.grey_picture(index), index / 30)
    assert "with mpeg4 instead" in caplog.text
    assert greys(tmp_path / "old.mp4") == [clips.grey_of(i) for i in range(6)]


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".MP4"])
def test_other_containers(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, (96, 64)) as writer:
        for index in range(3):
            writer.write(clips.grey_picture(index), index / 30)
    assert len(times(path)) == 3


def test_half_a_day_without_a_picture_shortens_the_pause_and_nothing_else(tmp_path, caplog):
    moments = [0, 0.1, 43_200, 43_200.1, 43_200.2]
    for name, pause in (("a.mp4", 30_000), ("a.mkv", 43_199.9)):
        with VideoWriter(tmp_path / name, (96, 64)) as writer:
            for number, moment in enumerate(moments):
                writer.write(clips.grey_picture(number), moment)
        assert np.diff(clips.times(tmp_path / name)) == pytest.approx([0.1, pause, 0.1, 0.1], abs=2e-3)
    assert "a.mp4: 12.0 hours without a picture are shown as 8.3" in caplog.text
    assert "a.mkv" not in caplog.text


def test_frames_too_fast_for_the_clock_follow_each_other(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", (96, 64)) as writer:
        for number in range(6):
            writer.write(clips.grey_picture(number), number * 1e-5)
    assert clips.greys(tmp_path / "a.mp4") == [clips.grey_of(number) for number in range(6)]
