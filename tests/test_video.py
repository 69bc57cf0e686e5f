import os
from datetime import datetime, timedelta
from fractions import Fraction

import av
import clips
import cv2
import numpy as np
import pytest
from clips import greys, noise_pictures, times
from PIL import Image, ImageOps

from vidpose.common.errors import UsageError, VidposeError
from vidpose.video import VideoReader, chosen_times, parse_length, parse_time, parse_time_range
from vidpose.video import decoding as decoding_module

needs_rotation = pytest.mark.skipif(
    not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV cannot write a rotation"
)


# Reading what is whole


def test_frames_come_in_order_with_exact_times(cfr_clip):
    with VideoReader(cfr_clip) as video:
        assert (video.width, video.height, video.fps, video.num_frames_hint) == (96, 64, 30, 12)
        frames = list(video)
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == [float(Fraction(i, 30)) for i in range(12)] == video.times
    assert frames[0].image.shape == (64, 96, 3)
    assert frames[0].image.dtype == np.uint8
    assert greys(cfr_clip) == [clips.grey_of(i) for i in range(12)]
    assert not video.truncated


def test_source_describes_what_was_decoded(vfr_clip, vfr_times):
    with VideoReader(vfr_clip) as video:
        assert sum(1 for _ in video) == 12
        source = video.source()
    assert (source.path, source.width, source.height, source.truncated) == (str(vfr_clip), 96, 64, False)
    np.testing.assert_allclose(source.times, vfr_times, atol=1e-5)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_time_counts_from_the_start_of_the_stream(tmp_path, suffix):
    late = [5 + i / 30 for i in range(12)]
    clip = clips.write_clip(tmp_path / f"late.{suffix}", [clips.grey_picture(i) for i in range(12)], late)
    assert times(clip) == pytest.approx([i / 30 for i in range(12)], abs=1e-3)
    with VideoReader(clip) as video:
        list(video)
        assert not video.truncated


def test_a_stream_without_timestamps_gets_them_from_its_rate(tmp_path):
    clip = clips.write_clip(tmp_path / "raw.h264", [clips.grey_picture(i) for i in range(6)])
    with VideoReader(clip) as video:
        list(video)
    assert video.times == pytest.approx([i / float(video.fps) for i in range(6)])


def test_timestamps_that_start_anew_keep_increasing(tmp_path):
    pieces = [clips.write_clip(tmp_path / f"{i}.ts", [clips.grey_picture(j) for j in range(6)]) for i in range(2)]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    found = times(both)
    assert len(found) == 12
    np.testing.assert_allclose(np.diff(found), 1 / 30, atol=1e-4)


def test_a_timestamp_that_comes_again_moves_no_other(tmp_path):
    """Matroska counts milliseconds: of 2000 frames a second, every other one has the stamp of the one before."""
    fast = [i / 2000 for i in range(40)]
    clip = clips.write_clip(tmp_path / "fast.mkv", [clips.grey_picture(i) for i in range(40)], fast)
    found = times(clip)
    assert (np.diff(found) > 0).all()
    np.testing.assert_allclose(found, fast, atol=1.1e-3)


def test_avi_with_b_frames_begins_at_0(tmp_path):
    pictures = [clips.grey_picture(i) for i in range(12)]
    clip = clips.write_clip(tmp_path / "b.avi", pictures, codec="mpeg4", options={"bf": "2"})
    # What PyAV writes last has no whole frame's time.
    assert times(clip)[:11] == pytest.approx([i / 30 for i in range(11)], abs=1e-3)


def test_pixels_that_change_their_shape_stay_square(tmp_path):
    """A broadcast goes from 16:9 to 4:3 with as many pixels: a disc stays a disc."""
    parts = []
    for number, aspect in enumerate((Fraction(64, 45), Fraction(16, 15))):
        disc = np.zeros((288, 360, 3), np.uint8)
        cv2.ellipse(disc, (180, 144), (round(100 / aspect), 100), 0, 0, 360, (255, 255, 255), -1)
        moments = [(12 * number + i) / 30 for i in range(12)]
        parts.append(clips.write_clip(tmp_path / f"{number}.ts", [disc] * 12, moments, aspect=aspect))
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    with VideoReader(both) as video:
        shown = [np.nonzero(frame.image[..., 0] > 128) for frame in video]
    assert len(shown) == 24
    for rows, columns in shown:
        assert (np.ptp(columns), np.ptp(rows)) == pytest.approx((200, 200), abs=4)


@needs_rotation
# Degrees counter-clockwise that a player turns the picture, then what it shows.
@pytest.mark.parametrize(
    ("rotation", "mirrored", "red", "green"),
    [
        (0, False, "upper left", "upper right"),
        (90, False, "lower left", "upper left"),
        (180, False, "lower right", "lower left"),
        (270, False, "upper right", "lower right"),
        (0, True, "upper right", "upper left"),
        (90, True, "lower right", "upper right"),
        (180, True, "lower left", "lower right"),
        (270, True, "upper left", "lower left"),
    ],
)
def test_pictures_are_turned_upright(tmp_path, rotation, mirrored, red, green):
    clip = clips.write_clip(tmp_path / "turned.mp4", [clips.corner_picture()] * 2, rotation=rotation, mirrored=mirrored)
    with VideoReader(clip) as video:
        size = (video.width, video.height)
        frame = next(iter(video))
    assert size == ((96, 64) if rotation % 180 == 0 else (64, 96))
    assert frame.image.shape[1::-1] == size
    assert frame.image.flags.c_contiguous
    found = clips.corners(frame.image)
    assert (found["red"], found["green"]) == (red, green)


@needs_rotation
def test_pixels_become_square(tmp_path):
    clip = clips.write_clip(tmp_path / "wide.mp4", [clips.corner_picture()] * 2, aspect=Fraction(4, 3), rotation=90)
    with VideoReader(clip) as video:
        assert (video.width, video.height) == (64, 128)
        assert next(iter(video)).image.shape == (128, 64, 3)


def test_odd_size_single_frame_and_non_ascii_name(odd_clip, one_frame_clip, tmp_path):
    with VideoReader(odd_clip) as video:
        assert (video.width, video.height) == (97, 63)
        assert {frame.image.shape for frame in video} == {(63, 97, 3)}
    assert times(one_frame_clip) == [0]
    named = tmp_path / "Übung 歩く: 50%.mp4"
    named.write_bytes(one_frame_clip.read_bytes())
    assert greys(named) == [clips.grey_of(0)]


@pytest.mark.parametrize(
    ("start", "end", "indices"), [(0.1, 0.2, [3, 4, 5]), (None, 0.1, [0, 1, 2]), (0.33, None, [10, 11])]
)
def test_a_time_range_keeps_the_frame_numbers(cfr_clip, start, end, indices):
    with VideoReader(cfr_clip, start=start, end=end) as video:
        assert [frame.index for frame in video] == indices
    assert len(video.times) == indices[-1] + 1
    assert not video.truncated


def test_every_third_frame_from_the_first_that_is_asked_for(cfr_clip):
    with VideoReader(cfr_clip, start=0.06, end=0.3, every=3) as video:
        assert [frame.index for frame in video] == [2, 5, 8]
        assert len(video.times) == 9


def test_a_time_range_without_frames(cfr_clip):
    with VideoReader(cfr_clip, start=5, end=6) as video, pytest.raises(UsageError, match=r"from 5 s to 6 s.*0\.367 s"):
        list(video)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2.5", 2.5),
        ("0", 0),
        ("0:02", 2),
        ("1:02.5", 62.5),
        ("90:00", 5400),
        ("1:02:03", 3723),
        (" 7 ", 7),
        (".5", 0.5),
    ],
)
def test_parse_time(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "a", "-1", "1:2", "0:60", "1:60:00", "nan", "inf", "1:02:03:04", "2s", "1" * 5000 + ":00"]
)
def test_parse_time_refuses(text):
    with pytest.raises(UsageError, match="is no time"):
        parse_time(text)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5 h", 5400), ("2:00", 120), ("7", 7)])
def test_parse_length(text, seconds):
    assert parse_length(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1m", "10 minutes", "0", "0s", "infm"])
def test_parse_length_refuses(text):
    with pytest.raises(UsageError, match="is no time"):
        parse_length(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2:10", (2, 10)),
        ("2.5:", (2.5, None)),
        (":10", (None, 10)),
        (":", (None, None)),
        ("0:02-0:10", (2, 10)),
        ("2-10", (2, 10)),
        ("59.5-1:00.5", (59.5, 60.5)),
        ("1:02:03-", (3723, None)),
        ("-0:10", (None, 10)),
    ],
)
def test_parse_time_range(text, seconds):
    assert parse_time_range(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "2", "a:b", "1:2:3", "10:2", "2:2", "-1:2", ":0", "nan:2", "2:nan", "inf:", "0:10-0:02", "1-2-3", "0:02:0:10"],
)
def test_parse_time_range_refuses(text):
    with pytest.raises(UsageError):
        parse_time_range(text)


def test_times_are_chosen_by_a_range_or_by_its_ends():
    assert chosen_times() == (None, None)
    assert chosen_times("0:02-0:10") == chosen_times(start="2", end="0:10") == (2, 10)
    assert chosen_times(start="1:00") == (60, None)
    with pytest.raises(UsageError, match="either, not both"):
        chosen_times("2:10", end="9")
    with pytest.raises(UsageError, match="after its start"):
        chosen_times(start="0:10", end="0:02")


# Folders of images


def test_image_folder_in_natural_order(image_folder):
    assert greys(image_folder) == [clips.grey_of(i) for i in range(12)]
    with VideoReader(image_folder) as video:
        assert (video.width, video.height, video.fps, video.num_frames_hint) == (96, 64, 30, 12)
    assert times(image_folder, fps=29.97)[11] == float(11 / Fraction(2997, 100))


@pytest.mark.parametrize(
    ("first", "seconds"), [("115955", [0, 1, 2, 3, 4, 5, 6, 7]), ("000096", [0, 1, 2, 3, 4, 5, 6, 7])]
)
def test_pictures_named_by_the_clock_have_its_times(tmp_path, first, seconds):
    for second in seconds:
        moment = datetime(2026, 1, 1, 11, 59, 55) + timedelta(seconds=second)
        name = moment.strftime("%H%M%S") if first == "115955" else f"{96 + second:06}"
        cv2.imwrite(str(tmp_path / f"IMG_20260101_{name}.png"), clips.grey_picture(second))
    assert times(tmp_path, fps=1) == seconds


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_turned_upright(tmp_path, orientation):
    """As Pillow turns what it wrote."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(clips.corner_picture()).save(tmp_path / "1.avif", exif=exif, quality=95)
    (tmp_path / "folder").mkdir()
    (tmp_path / "1.avif").rename(tmp_path / "folder" / "1.avif")
    with VideoReader(tmp_path / "folder") as video:
        found = next(iter(video)).image
    expected = np.array(ImageOps.exif_transpose(Image.open(tmp_path / "folder" / "1.avif")).convert("RGB"))
    assert clips.corners(found) == clips.corners(expected)
    assert found.shape == ((64, 96, 3) if orientation < 5 else (96, 64, 3))


def test_an_animated_png_by_its_usual_name(tmp_path):
    frames = [Image.fromarray(clips.grey_picture(i)) for i in range(5)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=100)
    assert times(tmp_path / "a.png") == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert greys(tmp_path / "a.png") == [clips.grey_of(i) for i in range(5)]
    frames[2].save(tmp_path / "b.png")
    assert greys(tmp_path / "b.png") == [clips.grey_of(2)]


def test_image_folder_troubles(tmp_path):
    with pytest.raises(VidposeError, match="no image in this folder"):
        VideoReader(tmp_path)
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(VidposeError, match="no image in this folder"):
        VideoReader(tmp_path)
    cv2.imwrite(str(tmp_path / "1.png"), clips.grey_picture(0))
    with pytest.raises(UsageError, match="positive"):
        VideoReader(tmp_path, fps=0)

    (tmp_path / "2.jpg").write_bytes(b"no jpeg")
    with VideoReader(tmp_path) as video, pytest.raises(VidposeError, match=r"2\.jpg: cannot be read"):
        list(video)
    (tmp_path / "0.bmp").touch()
    with pytest.raises(VidposeError, match=r"0\.bmp: cannot be read"):
        VideoReader(tmp_path)


# Files that are damaged, or no videos


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_truncated_file_gives_what_is_there(tmp_path, suffix):
    clip = clips.write_clip(
        tmp_path / f"cut.{suffix}",
        noise_pictures(60),
        container_options={"movflags": "faststart"} if suffix == "mp4" else None,
    )
    clips.cut(clip, 0.5)
    with VideoReader(clip) as video:
        indices = [frame.index for frame in video]
    assert 10 < len(indices) < 50
    assert indices == list(range(len(indices)))
    assert video.truncated
    assert video.source().truncated


def test_a_cut_transport_stream_is_decoded(tmp_path):
    clip = clips.cut(clips.write_clip(tmp_path / "cut.ts", noise_pictures(60)), 0.5)
    assert 10 < len(times(clip)) < 50


def test_damage_in_the_middle_is_passed_over(tmp_path):
    clip = clips.write_clip(tmp_path / "hurt.mp4", noise_pictures(60), options={"g": "5"})
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = bytes(20_000)
    clip.write_bytes(data)
    with VideoReader(clip) as video:
        found = [frame.time for frame in video]
    assert found[-1] > 1.5
    assert (np.diff(found) > 0).all()
    assert video.truncated


def test_files_that_are_no_video(tmp_path, sound_only):
    contents = {
        "empty.mp4": (b"", "empty"),
        "random.mp4": (np.random.default_rng(0).bytes(50_000), "not a video"),
        "notes.txt": (b"hello " * 100, "not a video"),
        "list.m3u8": (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n", "not a video"),
        "list.ffconcat": (b"ffconcat version 1.0\nfile notes.txt\n", "not a video"),
    }
    for name, (data, message) in contents.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(VidposeError, match=message) as error:
            VideoReader(tmp_path / name)
        assert str(error.value).startswith(str(tmp_path / name))
        assert "\n" not in str(error.value)
    with pytest.raises(VidposeError, match="no such file"):
        VideoReader(tmp_path / "missing.mp4")
    with pytest.raises(VidposeError, match="no video in this file, only audio"):
        VideoReader(sound_only)


def test_an_mp4_cut_before_its_index_and_one_without_frames(tmp_path):
    clip = clips.cut(clips.write_clip(tmp_path / "cut.mp4", noise_pictures(20)), 0.6)
    with pytest.raises(VidposeError, match="cut off or damaged"):
        VideoReader(clip)

    clip = clips.write_clip(tmp_path / "hollow.mp4", noise_pictures(20), container_options={"movflags": "faststart"})
    data = clip.read_bytes()
    clip.write_bytes(data[: data.index(b"mdat") + 4])
    with pytest.raises(VidposeError, match="no frame can be decoded"):
        VideoReader(clip)


def test_sizes_that_change_or_are_absurd(tmp_path, cfr_clip, monkeypatch):
    pieces = [clips.write_clip(tmp_path / f"{w}.h264", [clips.grey_picture(i, w) for i in range(3)]) for w in (96, 64)]
    both = tmp_path / "both.h264"
    both.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    monkeypatch.setattr(decoding_module, "MAX_SIDE", 80)
    with pytest.raises(VidposeError, match="96x64 pixels"):
        VideoReader(cfr_clip)


def test_playlists_of_local_files_are_not_followed(tmp_path, cfr_clip):
    playlist = tmp_path / "list.ffconcat"
    playlist.write_text(f"ffconcat version 1.0\nfile '{cfr_clip}'\n")
    with pytest.raises(VidposeError, match="playlist"):
        VideoReader(playlist)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path, cfr_clip):
    locked = tmp_path / "locked.mp4"
    locked.write_bytes(cfr_clip.read_bytes())
    locked.chmod(0)
    with pytest.raises(VidposeError, match="check the file and its permissions"):
        VideoReader(locked)


def test_ffmpeg_is_silent(tmp_path, capfd):
    clip = clips.cut(clips.write_clip(tmp_path / "cut.mkv", noise_pictures(60)), 0.5)
    times(clip)
    assert capfd.readouterr().err == ""
