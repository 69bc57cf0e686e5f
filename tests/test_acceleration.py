"""Devices that decode and encode: they are asked for in vain here, and software stands in for them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from av.codec.hwaccel import HWAccel, hwdevices_available

from vidpose.common.errors import UsageError
from vidpose.pipeline.choices import Finding
from vidpose.video import VideoReader, VideoWriter, acceleration, decoding, writing
from vidpose.video.acceleration import decoding_device, device_encoders, where_pictures_go

needs_cuda_build = pytest.mark.skipif("cuda" not in hwdevices_available(), reason="this FFmpeg was built without CUDA")


@pytest.fixture(autouse=True)
def without_devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with a GPU hides it, and nothing is known from other tests."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    decoding_device.cache_clear()
    yield
    decoding_device.cache_clear()


def images(path: Path, hwaccel: str) -> np.ndarray:
    with VideoReader(path, hwaccel=hwaccel) as video:
        return np.stack([frame.image for frame in video])


def written(path: Path, hwaccel: str) -> bytes:
    shade = np.linspace(0, 255, 96, dtype=np.uint8)
    with VideoWriter(path, (96, 63), hwaccel=hwaccel) as writer:
        for number in range(6):
            writer.write(np.tile(np.roll(shade, 9 * number)[None, :, None], (63, 1, 3)), number / 30)
    return path.read_bytes()


@pytest.mark.parametrize("command", ["infer {}", "batch {}", "render r.npz --video {}"])
def test_a_device_that_pyav_does_not_have_is_one_line(command, walk_sample, tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    if command.startswith("render"):
        assert run("infer", walk_sample, "--end", "0.2", "--no-overlay", "--out", ".")[0] == 0
        (tmp_path / f"{walk_sample.stem}.npz").rename("r.npz")
    source = walk_sample.parent if command.startswith("batch") else walk_sample
    code, _, error = run(*command.format(source).split(), "--hwaccel", "abacus")
    assert code == 2
    assert error.startswith("error: --hwaccel abacus: PyAV has no such device here; choose from auto, none")
    assert error.count("\n") == 1


@needs_cuda_build
@pytest.mark.parametrize("hwaccel", ["cuda", "auto"])
def test_where_the_machine_lacks_the_device_software_decodes_the_same_and_says_so_once(hwaccel, cfr_clip, caplog):
    for _ in range(2):
        np.testing.assert_array_equal(images(cfr_clip, hwaccel), images(cfr_clip, "none"))
    (line,) = caplog.messages
    assert line.startswith(f"`hwaccel={hwaccel}`: no device decodes h264 here (cuda: ")
    assert line.endswith("); software does")


def test_where_ffmpeg_has_no_decoder_for_a_device_software_decodes(cfr_clip, caplog, monkeypatch):
    monkeypatch.setattr(acceleration, "hwdevices_available", lambda: ["drm"])  # which decodes nothing itself
    np.testing.assert_array_equal(images(cfr_clip, "drm"), images(cfr_clip, "none"))
    assert caplog.messages == [
        "`hwaccel=drm`: no device decodes h264 here (its FFmpeg has none for that); software does"
    ]


def test_a_device_that_does_not_know_the_kind_of_picture_is_told(cfr_clip, caplog, monkeypatch):
    """It opens, and then FFmpeg decodes in software: so it does with a device that has nothing to do with the codec."""
    monkeypatch.setattr(decoding, "decoding_device", lambda hwaccel, codec: HWAccel("drm"))
    np.testing.assert_array_equal(images(cfr_clip, "drm"), images(cfr_clip, "none"))
    assert caplog.messages == [f"{cfr_clip}: no device decodes this kind of h264; software does"]


def test_the_first_encoder_that_really_encodes_is_taken(tmp_path, caplog, monkeypatch):
    """One of RGB cannot take what devices take; libx264 stands for a device's that can, and nothing else is there."""
    monkeypatch.setattr(acceleration, "hwdevices_available", lambda: ["amf", "cuda", "qsv"])
    monkeypatch.setattr(
        acceleration, "_H264_ENCODERS", {"amf": "not_in_this_build", "cuda": "libx264rgb", "qsv": "libx264"}
    )
    plain = tmp_path / "plain.mp4"
    written(plain, "none")
    monkeypatch.setattr(writing, "_ENCODERS", ())
    assert device_encoders("auto") == ["libx264rgb", "libx264"]
    for hwaccel in ("auto", "qsv"):
        path = tmp_path / f"{hwaccel}.mp4"
        written(path, hwaccel)
        assert np.abs(images(path, "none").astype(int) - images(plain, "none")).mean() < 1.5
    assert caplog.messages == []


@pytest.mark.parametrize(("encoders", "tried"), [({"qsv": "libx264rgb"}, " (libx264rgb)"), ({}, "")])
def test_where_no_device_encodes_software_writes_the_same_file_and_says_so(
    encoders, tried, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(acceleration, "hwdevices_available", lambda: ["qsv"])
    monkeypatch.setattr(acceleration, "_H264_ENCODERS", encoders)
    assert written(tmp_path / "a.mp4", "qsv") == written(tmp_path / "b.mp4", "none")
    assert caplog.messages == [f"`hwaccel=qsv`: no device encodes H.264 here{tried}; software does"]


def test_an_encoder_that_takes_pictures_only_on_its_device_gets_them_there(monkeypatch):
    monkeypatch.setattr(acceleration, "_H264_ENCODERS", {"cuda": "libx264rgb", "drm": "libx264"})
    assert isinstance(where_pictures_go("libx264rgb"), HWAccel)
    assert where_pictures_go("libx264") is None
    assert where_pictures_go("mpeg4") is None


@needs_cuda_build
def test_a_run_on_a_machine_without_the_device_gives_the_same(walk_sample, tmp_path, run):
    short = ("infer", walk_sample, "--end", "0.4", "--no-fit", "--device", "cpu")
    assert run(*short, "--out", tmp_path / "software")[0] == 0
    code, _, error = run(*short, "--out", tmp_path / "device", "--hwaccel", "cuda")
    assert code == 0
    told = [line for line in error.splitlines() if "--hwaccel cuda" in line]
    assert len(told) == 2
    assert "decodes h264" in told[0]
    assert "encodes H.264" in told[1]
    for name in (f"{walk_sample.stem}_overlay.mp4", f"{walk_sample.stem}.csv"):
        assert (tmp_path / "device" / name).read_bytes() == (tmp_path / "software" / name).read_bytes()


def test_python_is_told_of_a_device_that_is_none(walk_sample):
    with pytest.raises(UsageError, match="`hwaccel=abacus`"):
        Finding(hwaccel="abacus").check([walk_sample])
    with pytest.raises(UsageError, match="`hwaccel=abacus`"):
        VideoReader(walk_sample, hwaccel="abacus")
