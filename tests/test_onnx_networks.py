"""RTMDet, RTMPose and what is wrong with an ONNX file, by graphs whose answer can be worked out."""

import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from onnx import TensorProto
from onnx_files import write_constant_rtmpose, write_onnx, write_rtmdet, write_rtmpose

from vidpose.common.errors import VidposeError
from vidpose.keypoints.foreign.rtmpose import RtmPose
from vidpose.people.rtmdet import RtmDet
from vidpose.runtimes.onnx_network import OnnxNetwork

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


class TestRtmDet:
    """Pictures in, boxes out, by a graph that shows what it was given."""

    def test_what_the_network_sees_and_what_becomes_of_its_boxes(self, tmp_path) -> None:
        """A picture that fits as it is: its pixels arrive unchanged, blue first, with grey below."""
        image = NOISE.copy()
        image[10, 20] = (50, 150, 250)  # red, green, blue
        blue, red, below = 10 * 64 + 20, 2 * 64 * 64 + 10 * 64 + 20, 64 * 64 + 60 * 64
        boxes = [(5, 6, 20, 40, blue), (0, 0, 30, 30, blue), (1, 2, 3, 4, red), (8, 30, 40, 60, below)]
        network = RtmDet(write_rtmdet(tmp_path / "d.onnx", boxes, [0, 2, 0, 0]), min_score=0.4)
        found = network.detect(image)
        np.testing.assert_allclose(found.boxes, [[5, 6, 20, 40], [8, 30, 40, 48]], atol=1e-5)
        np.testing.assert_allclose(found.scores, [250 / 255, 114 / 255], atol=1e-5)

    @pytest.mark.parametrize(("width", "height"), [(128, 96), (32, 48), (333, 77)])
    def test_boxes_come_back_in_the_picture(self, tmp_path, width, height) -> None:
        ratio = min(64 / width, 64 / height)
        fitted = np.array([int(width * ratio + 0.5), int(height * ratio + 0.5)])
        inner = [0.25 * fitted[0], 0.5 * fitted[1], 0.75 * fitted[0], fitted[1]]
        network = RtmDet(write_rtmdet(tmp_path / "d.onnx", [(*inner, 0)], [0]))
        found = network.detect(np.full((height, width, 3), 200, np.uint8))
        np.testing.assert_allclose(found.boxes, [[width / 4, height / 2, 0.75 * width, height]], atol=1e-3)
        np.testing.assert_allclose(found.scores, [200 / 255], atol=1e-5)

    def test_a_network_that_takes_any_size_gets_the_one_it_was_trained_on(self, tmp_path) -> None:
        boxes = [(0, 0, 32, 32, 96 * 96 - 1)]
        network = RtmDet(write_rtmdet(tmp_path / "d.onnx", boxes, [0], ("N", 3, "H", "W")), size=96, min_score=0.0)
        (score,) = network.detect(np.full((96, 96, 3), 255, np.uint8)).scores
        assert score == pytest.approx(1), "the last value of blue, if the picture is 96 x 96"

    def test_nobody(self, tmp_path) -> None:
        path = write_rtmdet(tmp_path / "d.onnx", [(5, 6, 20, 40, 0)], [0])
        assert RtmDet(path).detect(np.zeros((40, 40, 3), np.uint8)).boxes.shape == (0, 4)


class TestRtmPose:
    """A spot in a picture, found again through the crop of each box."""

    @pytest.mark.parametrize("shape", [("N", 3, 256, 192), (1, 3, 256, 192), ("N", 3, 384, 288), ("N", 3, "H", "W")])
    def test_a_spot_is_found_where_it_is(self, tmp_path, shape) -> None:
        y, x = np.mgrid[:300, :400]
        spot = 250 * np.exp(-((x - 150) ** 2 + (y - 120) ** 2) / 70)
        image = np.repeat(spot[..., None], 3, axis=-1).astype(np.uint8)
        boxes = np.array([[100, 50, 220, 210], [140, -30, 190, 160], [60, 100, 260, 130]], float)
        network = RtmPose(write_rtmpose(tmp_path / "p.onnx", shape=shape))
        blank, shifted = np.zeros_like(image), np.roll(image, 40, axis=1)
        found = network.locate_in_all([image, blank, shifted], [boxes[:2], boxes[:0], boxes[2:]])
        assert [keypoints.shape for keypoints, _ in found] == [(2, 17, 2), (0, 17, 2), (1, 17, 2)]
        for (keypoints, scores), place in zip(found, [(150, 120), (0, 0), (190, 120)], strict=True):
            np.testing.assert_allclose(keypoints, np.broadcast_to(place, keypoints.shape), atol=1)
            assert (scores > 0.5).all()

    def test_bins_are_decoded_as_mmpose_does(self, tmp_path) -> None:
        rng = np.random.default_rng(1)
        simcc = {"simcc_x": rng.random((1, 17, 384), np.float32), "simcc_y": rng.random((1, 17, 512), np.float32)}
        path = write_constant_rtmpose(tmp_path / "p.onnx", **simcc)
        boxes = np.array([[10, 20, 40, 60], [0, 0, 64, 32]], float)
        ((keypoints, scores),) = RtmPose(path).locate_in_all([NOISE], [boxes])
        # mmpose: bin / 2 / input * scale + centre - scale / 2, with the box times 1.25 widened to 3:4.
        for row, (centre, scale) in enumerate([((25, 40), (37.5, 50)), ((32, 16), (80, 80 / 0.75))]):
            bins = np.stack([simcc["simcc_x"][0].argmax(1), simcc["simcc_y"][0].argmax(1)], axis=1)
            expected = bins / 2 / (192, 256) * scale + centre - np.array(scale) / 2
            np.testing.assert_allclose(keypoints[row], expected, atol=1e-4)
        np.testing.assert_allclose(scores[0], np.minimum(simcc["simcc_x"][0].max(1), simcc["simcc_y"][0].max(1)))

    def test_crops_arrive_standardised(self, tmp_path) -> None:
        """A picture of one colour: every bin's value is what that colour is to the network."""
        image = np.full((400, 400, 3), (200, 100, 50), np.uint8)
        network = RtmPose(write_rtmpose(tmp_path / "p.onnx"))
        ((keypoints, scores),) = network.locate_in_all([image], [np.array([[150, 150, 250, 250.0]])])
        colour = (np.array([200, 100, 50]) - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)
        np.testing.assert_allclose(scores, np.full((1, 17), colour.mean()), atol=1e-4)
        assert np.isfinite(keypoints).all()

    def test_other_joints(self, tmp_path) -> None:
        with pytest.raises(VidposeError, match=r"p\.onnx: of a network with 26 joints.*coco17's 17"):
            RtmPose(write_rtmpose(tmp_path / "p.onnx", joints=26))


class TestOnnxFiles:
    """What is wrong with a file is one line."""

    def test_an_sdk_archive_is_read(self, tmp_path) -> None:
        path = write_rtmpose(tmp_path / "end2end.onnx")
        with zipfile.ZipFile(tmp_path / "sdk.zip", "w") as archive:
            archive.write(path, "20230504/rtmpose/end2end.onnx")
            archive.writestr("20230504/rtmpose/detail.json", "{}")
        assert OnnxNetwork(tmp_path / "sdk.zip", ["simcc_y"]).size == (192, 256)

    def test_an_archive_without_a_network(self, tmp_path) -> None:
        with zipfile.ZipFile(tmp_path / "sdk.zip", "w") as archive:
            archive.writestr("detail.json", "{}")
        with pytest.raises(VidposeError, match=r"sdk\.zip: an archive with 0 \.onnx files"):
            OnnxNetwork(tmp_path / "sdk.zip", ["dets"])

    def test_no_onnx_at_all(self, tmp_path) -> None:
        (tmp_path / "text.onnx").write_text("hello")
        with pytest.raises(VidposeError, match=r"text\.onnx: not an ONNX network"):
            OnnxNetwork(tmp_path / "text.onnx", ["dets"])
        with pytest.raises(VidposeError, match=r"gone\.onnx: no such file"):
            OnnxNetwork(tmp_path / "gone.onnx", ["dets"])

    @pytest.mark.parametrize(
        ("shape", "inputs", "outputs"),
        [
            (("N", 3, 64, 64), ("input",), "heatmaps"),
            (("N", 3, 64, 64), ("input", "sizes"), "dets"),
            (("N", 1, 64, 64), ("input",), "dets"),
            (("N", 243, 17), ("input",), "dets"),
        ],
    )
    def test_other_inputs_or_outputs(self, tmp_path, shape, inputs, outputs) -> None:
        nodes = [("Identity", [inputs[-1]], outputs, {})]
        path = write_onnx(tmp_path / "o.onnx", nodes, [(outputs, TensorProto.FLOAT)], shape=shape, inputs=inputs)
        words = f"takes {inputs[0]} \\({' x '.join(map(str, shape))}\\).* and gives {outputs}; expected .* gives dets"
        with pytest.raises(VidposeError, match=words):
            OnnxNetwork(path, ["dets"])

    def test_onnx_runtime_is_not_there(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(VidposeError, match="pip install onnxruntime"):
            RtmDet(tmp_path / "d.onnx")


LIFT = """
import numpy as np
from vidpose.lifters.zoo import open_lifter
open_lifter("martinez", "cpu")
from vidpose.pipeline.networks import open_networks
with open_networks("nanodet", "blazepose-lite", device="cpu") as networks:
    networks.detector.detect(np.zeros((64, 64, 3), np.uint8))
"""


def test_onnx_runtime_sends_and_keeps_nothing_of_its_user(tmp_path):
    """Its telemetry numbers the machine, and keeps events to be sent, in the user's folder."""
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | home
    subprocess.run([sys.executable, "-c", LIFT], env=environment, check=True, timeout=300)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
