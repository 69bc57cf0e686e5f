"""mmpose's and mmdet's networks by name, against those libraries' own inference, with random weights.

Where they are not installed only what users are told is tested; `make openmmlab` makes an environment that has them.
"""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from keypoint_weights import weights
from torch import nn

from vidpose.body.skeletons import COCO_17, MPII_16
from vidpose.common.errors import UsageError, VidposeError
from vidpose.keypoints.foreign.mmpose import MmPose, _layout
from vidpose.keypoints.keypoint_network import load_network
from vidpose.keypoints.top_down import TopDown
from vidpose.people.mmdet import MmDet
from vidpose.pipeline.networks import open_networks
from vidpose.runtimes import openmmlab
from vidpose.runtimes.openmmlab import load_weights, read_config

HRNET = "td-hm_hrnet-w32_8xb64-210e_coco-256x192"
RTMPOSE = "rtmpose-t_8xb256-420e_coco-256x192"
RTMDET = "rtmdet_tiny_8xb32-300e_coco"
IMAGE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8).repeat(20, 0).repeat(20, 1)
BOXES = np.array([[20, 30, 120, 200], [100, -20, 330, 180]], np.float32)


def needs(library: str):
    reason = f"{library} is not installed; `make openmmlab` makes an environment that has it"
    return pytest.mark.skipif(importlib.util.find_spec(library) is None, reason=reason)


class TestWithoutThem:
    """What does not take the libraries."""

    @pytest.mark.parametrize(
        ("options", "library"),
        [({"detector": f"mmdet:{RTMDET}"}, "mmdet"), ({"keypoints": f"mmpose:{HRNET}"}, "mmpose")],
    )
    def test_a_library_that_is_not_installed(self, options, library, tmp_path, monkeypatch) -> None:
        (tmp_path / "b.csv").write_text("frame,x0,y0,x1,y1\n0,1,2,3,4\n")
        monkeypatch.setattr(openmmlab, "find_spec", lambda name: None)
        with pytest.raises(VidposeError, match=f"{library} is not installed here; `make openmmlab` .* makes") as caught:
            open_networks(**{"detector": f"boxes:{tmp_path / 'b.csv'}"} | options)
        assert "\n" not in str(caught.value)

    def test_a_library_that_cannot_be_loaded(self, tmp_path, monkeypatch) -> None:
        (tmp_path / "mmpose.py").write_text("raise ImportError('no mmcv._ext,\\n compiled for another PyTorch')")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "mmpose", raising=False)
        expected = (
            r"mmpose is installed but cannot be loaded; `make openmmlab` .* \(ImportError: no mmcv._ext, compiled"
        )
        with pytest.raises(VidposeError, match=expected):
            read_config("mmpose", HRNET)

    def test_tensors_of_a_checkpoint_are_loaded(self, tmp_path, caplog) -> None:
        network, other = nn.Linear(3, 2), nn.Linear(3, 2)
        state = other.state_dict()
        torch.save({"state_dict": state | {"data_preprocessor.mean": torch.zeros(3)}}, tmp_path / "w.pth")
        load_weights(network, tmp_path / "w.pth", "mmpose:net")
        assert not caplog.records
        torch.testing.assert_close(network.weight, other.weight)
        torch.save(state | {"ema.weight": torch.zeros(3)}, tmp_path / "w.pth")
        load_weights(network, tmp_path / "w.pth", "mmpose:net")
        assert "mmpose:net has no use for ema.weight" in caplog.text

    @pytest.mark.parametrize(
        ("state", "problem"),
        [
            ({"weight": torch.zeros(2, 3)}, "not weights of mmpose:net: lacks bias"),
            ({"weight": torch.zeros(9, 3), "bias": torch.zeros(9)}, "not weights of mmpose:net .*size mismatch for"),
        ],
    )
    def test_a_checkpoint_of_another_network(self, tmp_path, state, problem) -> None:
        torch.save(state, tmp_path / "w.pth")
        with pytest.raises(VidposeError, match=rf"w\.pth: {problem}") as caught:
            load_weights(nn.Linear(3, 2), tmp_path / "w.pth", "mmpose:net")
        assert "\n" not in str(caught.value)

    def test_a_malicious_checkpoint_is_not_run(self, tmp_path) -> None:
        class Malicious:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "run"),)

        torch.save({"state_dict": {"weight": torch.zeros(2, 3)}, "meta": Malicious()}, tmp_path / "w.pth")
        with pytest.raises(VidposeError, match=r"w\.pth: .*posix.mkdir"):
            load_weights(nn.Linear(3, 2), tmp_path / "w.pth", "mmpose:net")
        assert not (tmp_path / "run").exists()

    def test_a_curve_in_a_checkpoint_is_thrown_away(self, tmp_path) -> None:
        """Its pickle calls `getattr`, of which only the name is admitted: something else is called in its place."""

        class Curve:
            def __reduce__(self):
                return getattr, ("text", "upper")

        state = nn.Linear(3, 2).state_dict()
        torch.save({"state_dict": state, "message_hub": Curve()}, tmp_path / "w.pth")
        load_weights(nn.Linear(3, 2), tmp_path / "w.pth", "mmpose:net")
        with torch.serialization.safe_globals(openmmlab._CURVES):
            content = torch.load(tmp_path / "w.pth", weights_only=True)
        assert isinstance(content["message_hub"], openmmlab._Discarded)

    def test_joints_may_begin_with_a_layout_that_is_known(self) -> None:
        def facts(*joints: str):
            return {"num_keypoints": len(joints), "keypoint_id2name": dict(enumerate(joints))}

        assert _layout(facts(*COCO_17.joints), "mmpose:net") == COCO_17
        assert _layout(facts(*COCO_17.joints, "head", "neck"), "mmpose:net") == COCO_17
        assert _layout(facts(*MPII_16.joints), "mmpose:net") == MPII_16
        with pytest.raises(VidposeError, match=r"`keypoints=mmpose:net`: its 3 joints \(nose, left_ear, left_eye"):
            _layout(facts("nose", "left_ear", "left_eye"), "mmpose:net")


def write_weights(library: str, name: str, path: Path) -> Path:
    """Weights that are a function of their names, as a checkpoint of the library's."""
    config = read_config(library, name)
    if library == "mmpose":
        from mmpose.apis import init_model as build
    else:
        from mmdet.apis import init_detector as build
    shapes = {key: tuple(tensor.shape) for key, tensor in build(config, device="cpu").state_dict().items()}
    torch.save({"meta": {"epoch": np.float64(1)}, "state_dict": weights(shapes)}, path)
    return path


@pytest.fixture(scope="module")
def hrnet(tmp_path_factory) -> Path:
    return write_weights("mmpose", HRNET, tmp_path_factory.mktemp("weights") / "hrnet.pth")


@pytest.fixture(scope="module")
def rtmpose(tmp_path_factory) -> Path:
    return write_weights("mmpose", RTMPOSE, tmp_path_factory.mktemp("weights") / "rtmpose.pth")


@pytest.fixture(scope="module")
def rtmdet(tmp_path_factory) -> Path:
    """A network that takes most things for people."""
    path = write_weights("mmdet", RTMDET, tmp_path_factory.mktemp("weights") / "rtmdet.pth")
    content = torch.load(path, weights_only=False)
    for level in range(3):
        content["state_dict"][f"bbox_head.rtm_cls.{level}.bias"][0] += 2
    torch.save(content, path)
    return path


@needs("mmpose")
class TestMmpose:
    """Keypoints."""

    def test_they_are_those_of_mmpose_s_own_inference(self, rtmpose) -> None:
        from mmpose.apis import inference_topdown, init_model

        theirs = init_model(read_config("mmpose", RTMPOSE), device="cpu")
        theirs.load_state_dict(torch.load(rtmpose, weights_only=False)["state_dict"])
        expected = inference_topdown(theirs, np.ascontiguousarray(IMAGE[..., ::-1]), BOXES)
        ours = MmPose(RTMPOSE, rtmpose)
        assert ours.layout == COCO_17
        ((keypoints, scores),) = ours.locate_in_all([IMAGE], [BOXES])
        np.testing.assert_allclose(keypoints, [p.pred_instances.keypoints[0] for p in expected], atol=1e-3)
        np.testing.assert_allclose(scores, [p.pred_instances.keypoint_scores[0] for p in expected], atol=1e-5)

    def test_several_pictures_at_once_are_as_one_by_one(self, rtmpose) -> None:
        network = MmPose(RTMPOSE, rtmpose)
        images = [IMAGE, IMAGE[::-1, :200].copy(), IMAGE[:, ::-1].copy()]
        boxes = [BOXES, np.empty((0, 4)), BOXES[:1]]
        together = network.locate_in_all(images, boxes)
        assert [len(scores) for _, scores in together] == [2, 0, 1]
        for place in (0, 2):
            alone = network.locate_in_all(images[place : place + 1], boxes[place : place + 1])[0]
            np.testing.assert_allclose(together[place][1], alone[1], atol=1e-4)
            # Of two bins that are as likely, either may win.
            assert np.isclose(together[place][0], alone[0], atol=1e-3).mean() > 0.9

    def test_the_native_network_says_the_same(self, hrnet) -> None:
        """Crops are mmpose's, rounded to whole levels; so heatmaps differ a little, and peaks of equals may."""
        ((theirs, their_scores),) = MmPose(HRNET, hrnet).locate_in_all([IMAGE], [BOXES])
        tensors = torch.load(hrnet, weights_only=False)["state_dict"]
        ours, our_scores = TopDown(load_network("hrnet-w32", tensors)).locate(IMAGE, BOXES)
        np.testing.assert_allclose(our_scores, their_scores, rtol=0.02)
        assert (np.linalg.norm(ours - theirs, axis=-1) < 0.5).mean() > 0.9

    def test_by_name_on_the_command_line(self, rtmpose) -> None:
        with open_networks(keypoints=f"mmpose:{RTMPOSE}", keypoints_weights=rtmpose) as networks:
            poses = networks.keypoints.locate(IMAGE, networks.keypoints.regions(BOXES))
        assert networks.provenance["keypoints"] == f"mmpose:{RTMPOSE}"
        assert poses.keypoints.shape == (2, 17, 2)

    def test_a_config_of_one_s_own(self, rtmpose, tmp_path) -> None:
        path = tmp_path / "mine.py"
        path.write_text(read_config("mmpose", RTMPOSE).pretty_text)
        assert MmPose(str(path), rtmpose).layout == COCO_17
        with pytest.raises(VidposeError, match=r"gone\.py: no such config of mmpose"):
            MmPose(str(tmp_path / "gone.py"), rtmpose)
        path.write_text("model = (")
        with pytest.raises(VidposeError, match=r"mine\.py: not a config that mmpose can read \(SyntaxError"):
            MmPose(str(path), rtmpose)

    @pytest.mark.parametrize(
        ("name", "kind", "problem"),
        [
            ("hrnet-w32", UsageError, f"mmpose has no such config; did you mean {HRNET}"),
            (RTMPOSE, UsageError, r"give its weights with --keypoints-weights FILE; .* at https://\S+e613ba3f_20230127\.pth"),
            (HRNET, VidposeError, "not at hand; get them: `vidpose weights fetch hrnet-w32`"),
            ("td-hm_hrnet-w32_8xb64-210e_crowdpose-256x192", VidposeError, "its 14 joints .* are neither coco17's nor"),
            ("dekr_hrnet-w32_8xb10-140e_coco-512x512", VidposeError, "a BottomupPoseEstimator; only networks that"),
        ],
    )  # fmt: skip
    def test_what_will_not_do(self, name, kind, problem, hrnet, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("VIDPOSE_WEIGHTS", str(tmp_path))
        file = None if name in (HRNET, RTMPOSE) else hrnet
        with pytest.raises(kind, match=problem) as caught:
            open_networks(keypoints=f"mmpose:{name}", keypoints_weights=file)
        assert "\n" not in str(caught.value)

    def test_a_checkpoint_of_one_s_own_training(self, rtmpose, tmp_path) -> None:
        """mmengine keeps curves in it, as objects of its own, and numpy's numbers."""
        from mmengine.logging import MessageHub

        hub = MessageHub.get_instance("training")
        hub.update_scalar("train/loss", 0.5)
        hub.update_scalar("train/lr", np.float64(0.1))
        facts = {"dataset_meta": {"sigmas": np.ones(17, np.float32), "classes": ("person",)}, "seed": np.int64(3)}
        content = torch.load(rtmpose, weights_only=False) | {"meta": facts, "message_hub": hub.state_dict()}
        torch.save(content, tmp_path / "epoch_2.pth")
        ours = MmPose(RTMPOSE, tmp_path / "epoch_2.pth").locate_in_all([IMAGE], [BOXES])
        np.testing.assert_array_equal(ours[0][1], MmPose(RTMPOSE, rtmpose).locate_in_all([IMAGE], [BOXES])[0][1])

    def test_weights_of_another_network(self, rtmpose) -> None:
        with pytest.raises(VidposeError, match=rf"rtmpose\.pth: not weights of mmpose:{HRNET} \(.*size mismatch"):
            MmPose(HRNET, rtmpose)


@needs("mmdet")
class TestMmdet:
    """Boxes."""

    def test_they_are_the_people_of_mmdet_s_own_inference(self, rtmdet) -> None:
        from mmdet.apis import inference_detector, init_detector

        theirs = init_detector(read_config("mmdet", RTMDET), device="cpu")
        theirs.load_state_dict(torch.load(rtmdet, weights_only=False)["state_dict"])
        answer = inference_detector(theirs, np.ascontiguousarray(IMAGE[..., ::-1])).pred_instances
        # Cut off at the picture's edge, they have to have an area left.
        boxes = answer.bboxes.clamp(torch.zeros(4), torch.tensor([320.0, 240, 320, 240]))
        is_seen = (answer.labels == 0) & (answer.scores >= 0.5) & (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        ours = MmDet(RTMDET, rtmdet)
        found = ours.detect(IMAGE)
        assert len(found) == int(is_seen.sum()) > 0
        np.testing.assert_allclose(found.scores, answer.scores[is_seen].numpy(), atol=1e-5)
        np.testing.assert_allclose(found.boxes, boxes[is_seen].numpy(), atol=1e-2)
        for together in ours.detect_all([IMAGE, IMAGE], [0, 1]):
            np.testing.assert_allclose(together.boxes, found.boxes, atol=1e-2)

    def test_by_name_on_the_command_line(self, rtmdet) -> None:
        with open_networks(f"mmdet:{RTMDET}", detector_weights=rtmdet) as networks:
            assert networks.detector.is_tight
            networks.detector.detect(IMAGE)

    @pytest.mark.parametrize(
        ("name", "problem"),
        [
            ("rtmdet_tiny", f"mmdet has no such config; did you mean {RTMDET}"),
            (RTMDET, "not at hand; get them: `vidpose weights fetch rtmdet-tiny`"),
            ("rtmdet_s_8xb32-300e_coco", r"give its weights with --detector-weights FILE; .* at https://\S+387a891e\.pth"),
        ],
    )  # fmt: skip
    def test_what_will_not_do(self, name, problem, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("VIDPOSE_WEIGHTS", str(tmp_path))
        with pytest.raises(VidposeError, match=problem):
            open_networks(f"mmdet:{name}")
