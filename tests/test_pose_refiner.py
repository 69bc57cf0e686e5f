"""The refinement of lifted poses by the keypoints they came from (Strided Transformer, P-STMO)."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_published_sizes import PUBLISHED, weights
from training_data import recording as wanderer
from training_data import write_store
from wanderers import SIZE, recording

from vidpose.cli import cli
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.cmu import PROTOCOLS
from vidpose.datasets.store import Store, StoreWriter
from vidpose.evaluation.evaluate import evaluate, lift_clip, refined
from vidpose.lifters import create_lifter
from vidpose.lifters.pose_refiner import PoseRefiner, import_refiner, placed_by_keypoints, read_refiner
from vidpose.lifters.zoo import save_lifter
from vidpose.training.loop import train
from vidpose.training.recipe import read_recipe


@pytest.fixture
def store(tmp_path) -> Store:
    writer = StoreWriter(tmp_path / "cmu", "cmu", "h36m17")
    writer.write("test", [recording(number) for number in range(2)])
    return writer.finish({}, {"gt": {}, "detector": {}})


def checkpoint(path, name="strided-refine"):
    about = json.loads((PUBLISHED / f"{name}.keys.json").read_text())
    torch.save({about["prefix"] + key: tensor for key, tensor in weights(about["shapes"]).items()}, path)
    return path


def test_keypoints_place_a_pose_where_it_is(store):
    """At the true depths, under the true camera and keypoints, the placement is the truth."""
    clip = store.clips[0]
    joints = np.array(store.joints(clip)).astype(np.float64)
    pixels = joints[..., :2] / joints[..., 2:] * 1000 + SIZE / 2
    wrong = joints - joints[:, :1]
    wrong[..., :2] += 0.3
    placed = placed_by_keypoints(wrong, pixels, joints[:, 0, 2], np.array([1000, 1000]), np.array([500, 500]))
    np.testing.assert_allclose(placed, joints - joints[:, :1], atol=1e-9)
    pixels[3, 5] = np.nan
    placed = placed_by_keypoints(wrong, pixels, joints[:, 0, 2], np.array([1000, 1000]), np.array([500, 500]))
    np.testing.assert_allclose(placed[3, 5], wrong[3, 5])


@pytest.mark.parametrize("name", ["strided-refine", "p-stmo-refine"])
def test_the_authors_refiner_weighs_two_placements(name, tmp_path):
    refiner = import_refiner(checkpoint(tmp_path / "r.pth", name))
    theirs = weights(json.loads((PUBLISHED / f"{name}.keys.json").read_text())["shapes"])
    w1, b1, w2, b2 = (
        theirs[f"post_refine.{key}"].double().numpy() for key in ("0.weight", "0.bias", "3.weight", "3.bias")
    )
    lifted, placed = np.random.default_rng(0).normal(0, 0.5, (2, 4, 17, 3))
    answer = refiner(torch.from_numpy(lifted).float(), torch.from_numpy(placed).float()).detach().numpy()
    for frame in range(4):
        # Six numbers a joint: lifted x, y, z, then placed x, y, z.
        inputs = np.concatenate([np.concatenate([lifted[frame, j], placed[frame, j]]) for j in range(17)])
        share = 1 / (1 + np.exp(-(w2 @ np.maximum(w1 @ inputs + b1, 0) + b2)))
        for joint in range(17):
            for axis in range(2):
                s = share[2 * joint + axis]
                expected = s * lifted[frame, joint, axis] + (1 - s) * placed[frame, joint, axis]
                assert answer[frame, joint, axis] == pytest.approx(expected, abs=1e-5)
            assert answer[frame, joint, 2] == pytest.approx(lifted[frame, joint, 2], abs=1e-6)


def test_eval_refines(store, tmp_path, capsys):
    torch.manual_seed(0)
    lifter = create_lifter("strided-transformer", frames=9, width=16, hidden=32, depth=1, strides=(3, 3)).eval()
    # One that trusts the keypoints alone.
    trusting = PoseRefiner().eval()
    torch.nn.init.constant_(trusting.fc2.bias, -1000.0)
    clip = store.clips[0]
    lifted = lift_clip(store, clip, lifter, "gt")
    answer = refined(trusting, lifted, store, clip, "gt")
    joints = np.array(store.joints(clip))
    by_hand = joints[..., :2] / joints[..., 2:] * (lifted[..., 2:] + joints[:, :1, 2:])
    by_hand[:, 0] = joints[:, 0, :2]
    np.testing.assert_allclose(answer[..., :2], by_hand - by_hand[:, :1], atol=1e-4)
    np.testing.assert_allclose(answer[:, 1:, 2], lifted[:, 1:, 2], atol=1e-6)

    save_lifter(lifter, tmp_path / "w.safetensors", {})
    arguments = ["weights", "import", str(checkpoint(tmp_path / "r.pth")), "--arch", "pose-refiner"]
    cli.main([*arguments, "--out", str(tmp_path / "r.safetensors")], standalone_mode=False)
    words = ["eval", "--dataset", "cmu", "--data", str(store.folder), "--weights", str(tmp_path / "w.safetensors"),
             "--input", "gt", "--json", str(tmp_path / "e.json"),
             "--refine", str(tmp_path / "r.safetensors")]  # fmt: skip
    cli.main(words, standalone_mode=False)
    figures = json.loads((tmp_path / "e.json").read_text())["w"]
    assert figures["refined"] is True
    imported = read_refiner(tmp_path / "r.safetensors")
    expected = evaluate(store, PROTOCOLS["vidpose"], lifter, "gt", refiner=imported).summary()["averages"][0]
    plain = evaluate(store, PROTOCOLS["vidpose"], lifter, "gt").summary()["averages"][0]
    assert figures["averages"][0]["mpjpe"] == pytest.approx(expected["mpjpe"], rel=1e-5)
    assert expected["mpjpe"] != pytest.approx(plain["mpjpe"], rel=1e-3)


def test_what_is_no_refiner_is_said(store, tmp_path):
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(VidposeError, match="not a checkpoint of a pose-refiner"):
        import_refiner(tmp_path / "other.pth")
    save_lifter(create_lifter("martinez", width=8), tmp_path / "w.safetensors", {})
    with pytest.raises(VidposeError, match=r"w\.safetensors"):
        read_refiner(tmp_path / "w.safetensors")
    lifter = create_lifter("martinez", width=8).eval()
    with pytest.raises(UsageError, match="the refiner is for 15 joints, where cmu has 17"):
        evaluate(store, PROTOCOLS["vidpose"], lifter, "gt", refiner=PoseRefiner(15).eval())


def test_training_makes_a_refiner_that_helps(tmp_path):
    # The true projections: where they place a joint, x and y are as good as the depth. So a refiner has much to gain.
    data = write_store(tmp_path / "h36m", [wanderer(n, 60, s) for n, s in enumerate(("train", "train", "test"))])
    lifter = create_lifter("martinez", width=16).eval()
    save_lifter(lifter, tmp_path / "runs" / "strided-transformer" / "weights.safetensors", {})
    recipe = read_recipe("strided-transformer-refiner", ["batch=32", "steps=60", "lr=1e-3", "data.input=gt"])
    path = train(recipe, data.folder, tmp_path / "runs" / "refiner", device="cpu")
    refiner = read_refiner(path)
    clip = data.clips[2]
    truth = np.array(data.joints(clip)) - np.array(data.joints(clip))[:, :1]
    lifted = lift_clip(data, clip, lifter, "gt")
    answer = refined(refiner, lifted, data, clip, "gt")
    before, after = (np.linalg.norm(joints - truth, axis=-1).mean() for joints in (lifted, answer))
    assert after < 0.8 * before
    rows = [json.loads(line) for line in (tmp_path / "runs" / "refiner" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["val_mpjpe_mm"] == pytest.approx(1000 * after, rel=1e-3)
    with pytest.raises(UsageError, match="refiner: learns from a benchmark"):
        train(replace(recipe, init=""), data.folder, tmp_path / "runs" / "other", device="cpu")
