"""Person detectors and keypoint networks by name: what goes into them, what comes out, and what is wrong with a file.

The networks are small and untrained. Those that come as ONNX files are in `test_onnx_networks.py`.
"""

import json
import logging
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_files import write_rtmdet, write_rtmpose
from torch import nn
from torchvision.models import get_model, get_model_weights
from torchvision.models._api import WeightsEnum
from torchvision.models.detection import KeypointRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from vidpose.common.errors import UsageError, VidposeError
from vidpose.keypoints.foreign.keypoint_rcnn import KeypointRcnn, Remembering
from vidpose.keypoints.keypoint_network import create_network, network_class
from vidpose.keypoints.network_table import KEYPOINTS
from vidpose.people.boxes import BoxesFile
from vidpose.people.detector_table import DETECTORS
from vidpose.people.torchvision_detector import TorchvisionDetector
from vidpose.pipeline.networks import open_networks
from vidpose.runtimes.torchvision_networks import load_torchvision
from vidpose.weights.catalogue import shipped_entries

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1) / 255


class TinyBackbone(nn.Sequential):
    out_channels = 8

    def __init__(self) -> None:
        torch.manual_seed(3)
        super().__init__(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.Tanh())

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return OrderedDict([("0", super().forward(x))])


def keypointrcnn(backbone: nn.Module) -> KeypointRCNN:
    """An untrained network that finds six people in every picture."""
    torch.manual_seed(3)
    return KeypointRCNN(
        backbone,
        num_classes=2,
        min_size=96,
        max_size=128,
        box_score_thresh=0.0,
        box_detections_per_img=6,
        rpn_anchor_generator=AnchorGenerator(((32, 64),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
        keypoint_roi_pool=MultiScaleRoIAlign(["0"], 14, 2),
        keypoint_head=KeypointRCNNHeads(8, (16,)),
        keypoint_predictor=KeypointRCNNPredictor(16, 17),
    ).eval()


@pytest.fixture
def tiny_keypointrcnn() -> Iterator[KeypointRCNN]:
    with torch.inference_mode():
        yield keypointrcnn(TinyBackbone())


class TestTorchvision:
    """The plumbing around torchvision's networks."""

    def test_only_sure_people_count_and_boxes_end_with_the_picture(self) -> None:
        class Fixed(nn.Module):
            def forward(self, pictures: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
                self.pictures = pictures
                return [
                    {
                        "boxes": torch.tensor([[0.0, 1, 5, 9], [1, 1, 9, 9], [30, -5, 90, 20], [70, 0, 80, 9]]),
                        "labels": torch.tensor([1, 3, 1, 1]),
                        "scores": torch.tensor([0.6, 0.95, 0.9, 0.99]),
                    }
                ]

        network = Fixed()
        found = TorchvisionDetector(network, min_score=0.6).detect(NOISE)
        assert found.boxes.tolist() == [[30, 0, 64, 20], [0, 1, 5, 9]], "the surest first; none beyond the edge"
        np.testing.assert_allclose(found.scores, [0.9, 0.6])
        assert found.boxes.dtype == found.scores.dtype == np.float32
        np.testing.assert_allclose(network.pictures[0].numpy(), NOISE.transpose(2, 0, 1) / 255, rtol=1e-6)
        assert len(TorchvisionDetector(network, min_score=0.7).detect(NOISE)) == 1

    @pytest.mark.parametrize(
        ("name", "theirs"),
        [
            ("torchvision:ssdlite", "ssdlite320_mobilenet_v3_large"),
            ("torchvision:fasterrcnn", "fasterrcnn_resnet50_fpn"),
            ("torchvision:fasterrcnn-v2", "fasterrcnn_resnet50_fpn_v2"),
            ("torchvision:fasterrcnn-mobilenet", "fasterrcnn_mobilenet_v3_large_fpn"),
            ("torchvision:keypointrcnn", "keypointrcnn_resnet50_fpn"),
        ],
    )
    def test_weights_from_a_file_are_as_torchvision_would_load_them(self, name, theirs, tmp_path, monkeypatch) -> None:
        """torchvision builds its network otherwise where it loads weights: frozen batch normalisation, no epsilon."""
        for initialisation in ("kaiming_normal_", "kaiming_uniform_", "normal_", "trunc_normal_"):
            monkeypatch.setattr(nn.init, initialisation, lambda *_, **__: None)  # would take most of the time
        keys = get_model(theirs, weights=None, weights_backbone=None).state_dict()
        generator = torch.Generator().manual_seed(0)
        state = {
            key: torch.rand(tensor.shape, generator=generator) * 1e-4 + 1e-5  # an epsilon of 1e-5 makes a difference
            if key.endswith("running_var")
            else torch.randn(tensor.shape, generator=generator) * 1e-2
            for key, tensor in keys.items()
            if not key.endswith("num_batches_tracked")
        }
        torch.save(state, tmp_path / "weights.pth")
        monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: state)
        reference = get_model(theirs, weights=get_model_weights(theirs).DEFAULT).eval()
        ours = load_torchvision(theirs, tmp_path / "weights.pth")
        x = torch.rand(1, 3, 64, 64, generator=generator)
        with torch.inference_mode():
            expected, given = reference.backbone(x), ours.backbone(x)
        assert expected.keys() == given.keys()
        for level in expected:
            torch.testing.assert_close(given[level], expected[level], rtol=1e-4, atol=1e-6)

    def test_keypoints_in_given_boxes_are_those_the_network_gives_for_its_own(self, tiny_keypointrcnn) -> None:
        expected = [tiny_keypointrcnn([as_tensor(image)])[0] for image in (NOISE, NOISE[::-1].copy())]
        boxes = [some["boxes"].double().numpy() for some in expected]
        assert [len(some) for some in boxes] == [6, 6]
        network = KeypointRcnn(tiny_keypointrcnn)
        blank = np.zeros_like(NOISE)
        first, nobody, last = network.locate_in_all(
            [NOISE, blank, NOISE[::-1].copy()], [boxes[0], np.empty((0, 4)), boxes[1]]
        )
        for (keypoints, scores), some in zip((first, last), expected, strict=True):
            np.testing.assert_allclose(keypoints, some["keypoints"][..., :2], atol=1e-3)
            np.testing.assert_allclose(scores, 1 / (1 + np.exp(-some["keypoints_scores"])), atol=1e-5)
        assert nobody[0].shape == (0, 17, 2)

    def test_several_pictures_at_once_are_as_one_by_one(self, tiny_keypointrcnn) -> None:
        detector = TorchvisionDetector(tiny_keypointrcnn, min_score=0.0)
        # No blank picture: there, boxes tie, and rounding decides between them.
        images = [NOISE, NOISE[:, ::-1].copy(), NOISE[::-1].copy()]
        for image, together in zip(images, detector.detect_all(images, range(3)), strict=True):
            alone = detector.detect(image)
            assert len(alone) == 6
            np.testing.assert_allclose(together.boxes, alone.boxes, atol=1e-3)
            np.testing.assert_allclose(together.scores, alone.scores, atol=1e-5)

    def test_a_detector_that_finds_keypoints_too_sees_a_picture_once(self, tmp_path, monkeypatch) -> None:
        """Its backbone is most of its work, and both halves of it want the same features."""
        seen = []

        class Counting(TinyBackbone):
            def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
                seen.append(x.shape)
                return super().forward(x)

        for module in ("people.torchvision_detector", "keypoints.foreign.keypoint_rcnn"):
            monkeypatch.setattr(f"vidpose.{module}.load_torchvision", lambda *_: keypointrcnn(Counting()))
        (tmp_path / "w.pth").touch()
        weights = {"detector_weights": tmp_path / "w.pth", "keypoints_weights": tmp_path / "w.pth"}
        images = [NOISE, NOISE[::-1].copy()]

        def run(keypoints: str) -> list[np.ndarray]:
            seen.clear()
            with open_networks("torchvision:keypointrcnn", keypoints, **weights) as networks:
                networks.detector._min_score = 0.0
                boxes = [found.boxes for found in networks.detector.detect_all(images, range(2))]
                regions = [networks.keypoints.regions(some) for some in boxes]
                return [poses.keypoints for poses in networks.keypoints.locate_all(images, regions)]

        with torch.inference_mode():
            together = run("torchvision:keypointrcnn")
            assert len(seen) == 1
            monkeypatch.setattr("vidpose.pipeline.networks.KEYPOINT_RCNN", "another")
            apart = run("torchvision:keypointrcnn")
        assert len(seen) == 2
        for first, second in zip(together, apart, strict=True):
            assert len(first) == 6
            np.testing.assert_allclose(first, second, atol=1e-4)

    def test_a_backbone_remembers_no_other_picture(self) -> None:
        plain = TinyBackbone()
        remembering = Remembering(plain)
        for image in (NOISE, NOISE, NOISE[::-1].copy(), NOISE[:24]):
            picture = as_tensor(image)[None]
            torch.testing.assert_close(remembering(picture)["0"], plain(picture)["0"], rtol=0, atol=0)

    def test_weights_of_another_network(self, tmp_path) -> None:
        torch.save({"backbone.weight": torch.zeros(3)}, tmp_path / "other.pth")
        with pytest.raises(VidposeError, match=r"other\.pth: not weights of ssdlite320_mobile.* \(.*Missing key"):
            load_torchvision("ssdlite320_mobilenet_v3_large", tmp_path / "other.pth")


CSV = "frame,x0,y0,x1,y1,score,id\n0,1,2,30,40,0.5,2\n0,3.5,4,50,44,0.9,1\n4,-5,6,20,99,1,2\n"


class TestBoxesFile:
    """Boxes from a file."""

    @pytest.fixture
    def write(self, tmp_path):
        def write(text: str, name: str = "boxes.csv") -> Path:
            (tmp_path / name).write_text(text, encoding="utf-8")
            return tmp_path / name

        return write

    def test_csv_and_json_say_the_same(self, write) -> None:
        rows = [
            {"frame": 0, "x0": 1, "y0": 2, "x1": 30, "y1": 40, "score": 0.5, "id": 2},
            {"frame": 0, "x0": 3.5, "y0": 4, "x1": 50, "y1": 44, "score": 0.9, "id": 1},
            {"frame": 4, "x0": -5, "y0": 6, "x1": 20, "y1": 99, "id": 2},
        ]
        for path in (write(CSV), write("\ufeff" + CSV.replace(",", ", ")), write(json.dumps(rows), "boxes.json")):
            boxes = BoxesFile(path)
            assert boxes.gives_ids
            found = boxes.detect(NOISE, index=0)
            assert found.boxes.tolist() == [[3.5, 4, 50, 44], [1, 2, 30, 40]], "the surest first"
            assert found.ids.tolist() == [1, 2]
            np.testing.assert_allclose(found.scores, [0.9, 0.5])
            assert boxes.detect(NOISE, index=4).boxes.tolist() == [[0, 6, 20, 48]], "cut off at the edge"
            assert boxes.detect(NOISE, index=1).boxes.shape == (0, 4)

    @pytest.mark.parametrize("ids", [True, False])
    def test_motchallenge(self, write, ids) -> None:
        rows = [
            (1, 3 if ids else -1, 100, 90, 180, 350, 1),
            (1, 7 if ids else -1, 400.5, 90, 80, 350, 0.4),
            (2, 3 if ids else -1, 101, 90, 180, 350, 62.3),
            (3, 3 if ids else -1, 102, 90, 180, 350, 0),
        ]
        boxes = BoxesFile(write("".join(",".join(map(str, (*row, -1, -1, -1))) + "\n" for row in rows), "det.txt"))
        assert boxes.gives_ids == ids
        found = boxes.detect(np.zeros((480, 640, 3), np.uint8), index=0)
        assert found.boxes.tolist() == [[100, 90, 280, 440], [400.5, 90, 480.5, 440]]
        np.testing.assert_allclose(found.scores, [1, 0.4])
        if ids:
            assert found.ids.tolist() == [3, 7]
        assert boxes.detect(np.zeros((480, 640, 3), np.uint8), index=1).scores.tolist() == [1]
        assert len(boxes.detect(np.zeros((480, 640, 3), np.uint8), index=2).boxes) == 0

    def test_damaged_motchallenge(self, write) -> None:
        with pytest.raises(VidposeError, match=r"line 2: '2,1,x,90,180,350' is not made of numbers"):
            BoxesFile(write("1,1,100,90,180,350,1,-1,-1,-1\n2,1,x,90,180,350\n", "det.txt"))
        with pytest.raises(VidposeError, match="line 2 has 3 numbers"):
            BoxesFile(write("1,1,100,90,180,350,1,-1,-1,-1\n2,1,4\n", "det.txt"))

    def test_scores_and_ids_may_be_left_out(self, write) -> None:
        boxes = BoxesFile(write("x0,y0,x1,y1,frame\n1,2,3,4,7\n"))
        found = boxes.detect(NOISE, index=7)
        assert found.ids is None
        assert not boxes.gives_ids
        assert found.scores.tolist() == [1]

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("", "no boxes in it"),
            ("frame,x0,y0,x1,y1\n", "no boxes in it"),
            ("frame,x0,y0,x1\n0,1,2,3\n", "line 2: no y1"),
            ("0,1,2,3,4\n1,1,2,3,4\n", "line 2: no frame"),
            ("frame,x0,y0,x1,y1\n0,1,2,3,4\n1,1,2,three,4\n", "line 3: x1 is 'three'"),
            ("frame,x0,y0,x1,y1\n0,1,2,nan,4\n", "line 2: x1 is 'nan'"),
            ("frame,x0,y0,x1,y1\n0,1,2,1,4\n", "line 2: a box of no area"),
            ("frame,x0,y0,x1,y1\n0,1,9,3,4\n", "line 2: a box of no area"),
            ("frame,x0,y0,x1,y1\n-1,1,2,3,4\n", "line 2: frame is -1"),
            ("frame,x0,y0,x1,y1\n0.5,1,2,3,4\n", "line 2: frame is 0.5"),
            ("frame,x0,y0,x1,y1,id\n0,1,2,3,4,0\n", "line 2: id is 0"),
            ("frame,x0,y0,x1,y1,id\n0,1,2,3,4,5\n0,5,6,7,8,5\n", "line 3: id 5 is twice in frame 0"),
            ("frame,x0,y0,x1,y1,id\n0,1,2,3,4,5\n0,5,6,7,8,\n", "line 3: some boxes have an id and some have none"),
            ("frame,x0,y0,x1,y1,score\n0,1,2,3,4,90\n", "line 2: score is 90"),
        ],
    )
    def test_a_damaged_table_is_one_line(self, write, text, parts) -> None:
        with pytest.raises(VidposeError, match=rf"boxes\.csv.*{parts}"):
            BoxesFile(write(text))

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("[{", "damaged, or neither CSV nor JSON"),
            ('{"frame": 0}', "must be a list of boxes"),
            ("[3]", "must be a list of boxes"),
            ('[{"frame": 0, "x0": [1], "y0": 2, "x1": 3, "y1": 4}]', r"box 1: x0 is \[1\]"),
        ],
    )
    def test_a_damaged_list_is_one_line(self, write, text, parts) -> None:
        with pytest.raises(VidposeError, match=rf"boxes\.json.*{parts}"):
            BoxesFile(write(text, "boxes.json"))

    def test_no_text_and_no_file(self, tmp_path) -> None:
        (tmp_path / "boxes.csv").write_bytes(b"\x89PNG\xff\x00" * 20)
        with pytest.raises(VidposeError, match="neither CSV nor JSON"):
            BoxesFile(tmp_path / "boxes.csv")
        with pytest.raises(VidposeError, match=r"gone\.csv: no such file"):
            BoxesFile(tmp_path / "gone.csv")

    def test_a_box_outside_the_picture(self, write) -> None:
        boxes = BoxesFile(write("frame,x0,y0,x1,y1\n3,100,2,300,40\n"))
        with pytest.raises(VidposeError, match="frame 3 the box 100 2 300 40 lies outside the picture of 64x48"):
            boxes.detect(NOISE, index=3)

    @pytest.mark.parametrize(("frames", "warned"), [(5, False), (4, True)])
    def test_a_file_for_a_longer_video(self, write, frames, warned, caplog) -> None:
        with caplog.at_level(logging.WARNING):
            BoxesFile(write(CSV)).check_length(frames)
        assert [("frame 4" in r.message and "frame 3" in r.message) for r in caplog.records] == [True] * warned


class TestNames:
    """The names that the command line takes."""

    @pytest.mark.parametrize(
        ("options", "parts"),
        [
            ({"detector": "rtmdett"}, r"`detector=rtmdett`: unknown; did you mean rtmdet\? known are nanodet, "),
            ({"detector": "torchvision:fastrcnn"}, r"did you mean torchvision:fasterrcnn\?"),
            ({"detector": "zzz"}, r"`detector=zzz`: unknown; known are .*boxes:FILE"),
            ({"detector": "boxes:"}, r"`detector=boxes:`: unknown; did you mean boxes:FILE\?"),
            ({"keypoints": "hrnet_w32"}, r"`keypoints=hrnet_w32`: unknown; did you mean hrnet-w32\?"),
            ({"keypoints": "cpn"}, "download it from https://.*, then `vidpose infer --keypoints cpn"),
            ({"detector": "mmdet:"}, r"`detector=mmdet:`: unknown; did you mean mmdet:CONFIG\?"),
            ({"keypoints_weights": Path("w.pth")}, r"`keypoints_weights=w\.pth`: blazepose-heavy takes no weights"),
        ],
    )
    def test_wrong_words(self, options, parts, tmp_path) -> None:
        (tmp_path / "b.csv").write_text(CSV)
        with pytest.raises(UsageError, match=parts):
            open_networks(**{"detector": f"boxes:{tmp_path / 'b.csv'}", **options})

    def test_weights_that_are_not_there(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("VIDPOSE_WEIGHTS", str(tmp_path))
        with pytest.raises(VidposeError, match="vidpose weights fetch torchvision:ssdlite"):
            open_networks("torchvision:ssdlite")
        with pytest.raises(VidposeError, match=r"`keypoints_weights=.*gone\.pth`: no such file"):
            open_networks(keypoints="hrnet-w32", keypoints_weights=tmp_path / "gone.pth")

    @pytest.mark.parametrize("name", shipped_entries(KEYPOINTS))
    def test_networks_that_come_with_vidpose_open_without_a_file(self, tmp_path, name) -> None:
        (tmp_path / "b.csv").write_text(CSV)
        with open_networks(f"boxes:{tmp_path / 'b.csv'}", name) as networks:
            poses = networks.keypoints.locate(np.zeros((64, 48, 3), np.uint8), np.array([[[24.0, 32], [24, 4]]]))
        assert poses.keypoints.shape == (1, len(networks.keypoints.layout), 2)
        assert KEYPOINTS[name].shipped.path.stat().st_size < 30e6

    def test_every_detector_and_network_that_needs_weights_says_so(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("VIDPOSE_WEIGHTS", str(tmp_path))
        boxes = tmp_path / "b.csv"
        boxes.write_text(CSV)
        for option, table in (("detector", DETECTORS), ("keypoints", KEYPOINTS)):
            for name, entry in table.items():
                # OpenMMLab's, which may know where others are, are in `test_openmmlab.py`.
                if entry.takes_weights == "must" and name not in shipped_entries(table):
                    with pytest.raises(
                        VidposeError, match=f"weights fetch {name}`|give `{option}_weights`|--{option}-weights FILE"
                    ):
                        open_networks(**{"detector": f"boxes:{boxes}", option: name})

    @pytest.mark.parametrize(
        ("name", "arch"), [("hrnet-w32", "hrnet-w32"), ("hrnet-w32-udp", "hrnet-w32"), ("cpn", "cpn")]
    )
    def test_a_native_network_from_a_checkpoint(self, tmp_path, name, arch) -> None:
        (tmp_path / "b.csv").write_text(CSV)
        network = create_network(arch, **network_class(arch).tiny)
        torch.save({"state_dict": network.state_dict()}, tmp_path / "w.pth")
        detector, weights = f"boxes:{tmp_path / 'b.csv'}", tmp_path / "w.pth"
        with open_networks(detector, name, keypoints_weights=weights) as networks:
            found = networks.detector.detect(NOISE)
            poses = networks.keypoints.locate(NOISE, networks.keypoints.regions(found.boxes))
        assert networks.keypoints.layout.name == "coco17"
        assert networks.provenance == {"detector": detector, "keypoints": name}
        assert poses.keypoints.shape == (2, 17, 2)
        assert poses.presence.tolist() == [1, 1]

    def test_weights_of_another_network_or_layout(self, tmp_path) -> None:
        (tmp_path / "b.csv").write_text(CSV)
        detector, weights = f"boxes:{tmp_path / 'b.csv'}", tmp_path / "w.pth"
        tiny = create_network("hrnet-w32", **network_class("hrnet-w32").tiny).state_dict()
        torch.save(tiny, weights)
        with pytest.raises(VidposeError, match=r"w\.pth: not weights of cpn"):
            open_networks(detector, "cpn", keypoints_weights=weights)
        for key in ("head.final_layer.weight", "head.final_layer.bias"):
            tiny[key] = tiny[key][:13]
        torch.save(tiny, weights)
        with pytest.raises(VidposeError, match=r"w\.pth: not weights of hrnet-w32 \(13 joints"):
            open_networks(detector, "hrnet-w32", keypoints_weights=weights)

    def test_onnx_networks_by_name(self, tmp_path) -> None:
        people = write_rtmdet(tmp_path / "d.onnx", [(5, 6, 20, 40, 0)], [0], ("N", 3, "H", "W"))
        joints = write_rtmpose(tmp_path / "p.onnx")
        with open_networks("rtmdet-nano", "rtmpose-s", detector_weights=people, keypoints_weights=joints) as networks:
            found = networks.detector.detect(np.full((320, 320, 3), 255, np.uint8))
            poses = networks.keypoints.locate(NOISE, networks.keypoints.regions(found.boxes))
        np.testing.assert_allclose(found.boxes, [[5, 6, 20, 40]], atol=1e-4)
        assert poses.keypoints.shape == (1, 17, 2)


def test_networks_are_offered_without_importing_one():
    code = "import sys, vidpose.pipeline; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
