"""`vidpose weights`, and the catalogue behind it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.models
from file_server import serving
from safetensors.torch import save_file

from vidpose.body.skeletons import get_skeleton
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.lazy import imported
from vidpose.keypoints.clips.clip_network import create_clip_network
from vidpose.keypoints.clips.clip_weights import save_clip_network
from vidpose.keypoints.clips.temporal_relational import TemporalRelational
from vidpose.keypoints.keypoint_network import create_network
from vidpose.keypoints.trained_networks import save_network
from vidpose.lifters import create_lifter, lifter_class
from vidpose.lifters.authors_weights import AUTHORS_WEIGHTS
from vidpose.lifters.lifter_table import LIFTERS
from vidpose.lifters.zoo import save_lifter
from vidpose.pipeline.table import TABLES, WEIGHTS
from vidpose.weights import catalogue
from vidpose.weights.catalogue import Entry, Paper, Published, shipped_entries, weights_file, weights_folder
from vidpose.weights.header import read_header
from vidpose.weights.weights_file import write_weights

CONTENT = b"weights of a network" * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run: Run, monkeypatch, tmp_path) -> Run:
    """Run `vidpose weights` in an empty folder: exit code, stdout, stderr."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("VIDPOSE_WEIGHTS", str(tmp_path / "cache"))
    return lambda *arguments: run("weights", *arguments)


@pytest.fixture
def server():
    with serving(CONTENT) as server:
        yield server


def net(monkeypatch, file: Published) -> Published:
    """Make the weights `net` known."""
    monkeypatch.setitem(WEIGHTS, "net", Entry("net", "keypoints", Paper("A paper"), weights=file, licence="MIT"))
    return file


@pytest.fixture
def entry(server, monkeypatch) -> Published:
    """Weights `net`, which the server has."""
    return net(monkeypatch, Published("mmpose", url=server.url("file/net.pth"), sha256=SHA256[:8]))


@pytest.fixture
def unhashed(entry, monkeypatch) -> Published:
    """Weights `net` without a published hash."""
    return net(monkeypatch, replace(entry, sha256=""))


def assert_one_line(error: str, *parts: object) -> None:
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    for part in parts:
        assert str(part) in error


def test_fetch_verify_info_list_and_remove(run, entry, server, tmp_path):
    path = tmp_path / "cache" / "net.pth"
    assert entry.path == path
    assert "net " in run("list")[1]
    code, out, err = run("fetch", "net")
    assert (code, out, err) == (0, f"wrote {path}: its hash is right\n", "")
    assert path.read_bytes() == CONTENT
    assert weights_file(WEIGHTS["net"]) == path
    code, out, _ = run("fetch", "net")
    assert (code, out) == (0, f"net: there already, {path}\n")
    assert len(server.asked) == 1

    code, out, _ = run("verify")
    assert code == 0
    assert f"ok       net  {path}" in out.splitlines()
    code, out, _ = run("info", "net")
    told = {line[:15].strip(): line[16:] for line in out.splitlines()}
    assert told.items() >= {"url": entry.url, "licence": "MIT", "file": str(path), "at hand": "yes"}.items()
    listed = json.loads(run("list", "--json")[1])
    assert next(row for row in listed if row["name"] == "net")["at_hand"]
    assert not next(row for row in listed if row["name"] == "hrnet-w32")["at_hand"]

    assert run("remove", "net")[:2] == (0, "net: removed\n")
    assert list(path.parent.iterdir()) == []
    assert run("remove", "net")[:2] == (0, "net: was not there\n")


def test_a_damaged_file_is_not_used_and_fetched_again(run, entry):
    run("fetch", "net")
    entry.path.write_bytes(CONTENT[:-1])
    code, out, err = run("verify")
    assert code == 1
    assert f"damaged  net  {entry.path}" in out.splitlines()
    assert_one_line(err, "damaged: net;", "vidpose weights fetch NAME")
    with pytest.raises(VidposeError, match=r"net.pth: damaged; get it again: `vidpose weights fetch net`"):
        weights_file(WEIGHTS["net"])
    assert run("fetch", "net")[0] == 0
    assert weights_file(WEIGHTS["net"]).read_bytes() == CONTENT


def test_a_file_put_there_by_hand_serves_a_machine_without_network(run, entry, server):
    server.shutdown()
    with pytest.raises(VidposeError, match="not at hand") as caught:
        weights_file(WEIGHTS["net"])
    assert f"put {entry.url} at {entry.path}" in str(caught.value)
    entry.path.parent.mkdir()
    entry.path.write_bytes(CONTENT)
    assert weights_file(WEIGHTS["net"]) == entry.path
    assert run("fetch", "net")[0] == 0


def test_a_failed_fetch_is_one_line_with_address_and_place(run, entry, server, monkeypatch):
    gone = net(monkeypatch, replace(entry, url=server.url("missing/net.pth")))
    code, _, err = run("fetch", "net")
    assert code == 1
    assert_one_line(err, gone.url, "404 Not Found", f"put it at {gone.path}")


def test_without_a_published_hash_the_user_decides_and_the_hash_is_noted(run, unhashed, server):
    code, _, err = run("fetch", "net")
    assert code == 2
    assert_one_line(err, "no hash to check it by", "--unchecked", unhashed.url)
    assert not server.asked
    code, out, _ = run("fetch", "net", "--unchecked")
    assert code == 0
    assert f"sha256 {SHA256} noted" in out
    assert (unhashed.path.parent / "net.pth.sha256").read_text() == f"{SHA256}  net.pth\n"
    assert weights_file(WEIGHTS["net"]).read_bytes() == CONTENT
    assert f"ok       net  {unhashed.path}" in run("verify")[1]

    unhashed.path.write_bytes(b"another")
    assert run("verify")[0] == 1
    assert run("remove", "net")[0] == 0
    assert list(unhashed.path.parent.iterdir()) == []


def test_a_file_without_any_hash_is_used_once_the_user_says_so(run, unhashed, server):
    unhashed.path.parent.mkdir()
    unhashed.path.write_bytes(CONTENT)
    code, out, _ = run("verify")
    assert code == 0
    assert f"no hash  net  {unhashed.path}" in out.splitlines()
    with pytest.raises(VidposeError, match="not at hand"):
        weights_file(WEIGHTS["net"])
    assert run("fetch", "net", "--unchecked")[0] == 0
    assert weights_file(WEIGHTS["net"]) == unhashed.path
    assert not server.asked


def test_what_only_a_person_can_download_says_how(run):
    for command in ("fetch", "fetch --unchecked"):
        code, _, err = run(*command.split(), "authors:mixste")
        assert code == 2
        assert_one_line(
            err, "https://github.com/JinluZhang1126/MixSTE", "then import it as mixste with `vidpose weights import`"
        )
    with pytest.raises(UsageError, match="vidpose cannot fetch it"):
        weights_file(WEIGHTS["authors:mixste"])
    assert run("remove", "authors:mixste")[1] == "authors:mixste: was not there\n"


@pytest.mark.parametrize("command", ["fetch", "remove", "info"])
def test_an_unknown_name_is_one_line_with_the_nearest(run, command):
    for name, near in (("hrnet-w23", "hrnet-w32"), ("ssdlite", "torchvision:ssdlite"), ("RTMPose-m", "rtmpose-m")):
        code, _, err = run(command, name)
        assert code == 2
        assert_one_line(err, f"unknown weights {name!r}; did you mean {near}?")
    assert_one_line(run(command, "zzz")[2], "unknown weights 'zzz'; `vidpose weights list`")


@pytest.mark.parametrize("command", ["fetch", "remove"])
def test_what_comes_with_vidpose_is_neither_fetched_nor_removed(run, command):
    ours = shipped_entries(WEIGHTS)
    code, _, err = run(command, *ours)
    assert code == 2
    assert_one_line(err, "comes with vidpose")
    assert all(entry.weights.path.is_file() for entry in ours.values())


def test_info_of_a_file_of_ours(run, tmp_path):
    lifter = create_lifter("single-branch", width=16, depth=1, heads=2, frames=9)
    save_lifter(lifter, tmp_path / "tiny.safetensors", {"data": "none"})
    code, out, _ = run("info", "tiny.safetensors")
    assert code == 0
    told = {line[:15].strip(): line[16:] for line in out.splitlines()}
    assert told["arch"] == "single-branch"
    assert json.loads(told["config"])["frames"] == 9
    assert told["data"] == "none"
    assert told["sha256"] == hashlib.sha256((tmp_path / "tiny.safetensors").read_bytes()).hexdigest()
    assert run("info", "single-branch")[0] == 0


def test_info_of_keypoint_and_clip_networks_of_ours(run, tmp_path):
    network = create_network("hrnet-w24", layout="coco17")
    save_network(network, network.processing, tmp_path / "net.safetensors", {"data": "some"})
    clip_network = create_clip_network("temporal-relational", **TemporalRelational.tiny)
    save_clip_network(clip_network, tmp_path / "clips.safetensors", {"data": "others"}, half=True)
    for file, theirs, data in (("net", network, "some"), ("clips", clip_network, "others")):
        code, out, _ = run("info", f"{file}.safetensors")
        assert code == 0
        told = {line[:15].strip(): line[16:] for line in out.splitlines()}
        assert (told["arch"], told["data"]) == (theirs.name, data)
        assert json.loads(told["config"])["layout"] == theirs.config.layout
        assert told["parameters"] == f"{sum(p.numel() for p in theirs.parameters()):,}"
        assert told["sha256"] == hashlib.sha256((tmp_path / f"{file}.safetensors").read_bytes()).hexdigest()


def test_info_of_other_files_is_one_line(run, tmp_path):
    (tmp_path / "text.safetensors").write_text("not weights")
    save_file({"x": torch.zeros(1)}, tmp_path / "theirs.safetensors")
    write_weights(torch.nn.Linear(1, 1), tmp_path / "strange.safetensors", "vidpose-sculptor", {"arch": "bust"})
    write_weights(torch.nn.Linear(1, 1), tmp_path / "wrong.safetensors", "vidpose-clip-network",
                  {"arch": "vit-s", "config": {"size": 64}})  # fmt: skip
    for file, part in (
        ("text", "not a safetensors file"),
        ("theirs", "no vidpose header; these are not weights that vidpose wrote"),
        (
            "strange",
            "its header is of a vidpose-sculptor, where a vidpose-lifter or vidpose-keypoint-network or ",
        ),
        ("wrong", "the weights do not fit vit-s"),
    ):
        code, out, err = run("info", f"{file}.safetensors")
        assert (code, out) == (1, "")
        assert_one_line(err, f"{file}.safetensors: ", part)


class Bomb:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_result_is_no_pickle(run, tmp_path):
    np.savez(tmp_path / "x.npz", header=np.array("{}"))
    code, _, err = run("info", tmp_path / "x.npz")
    assert code == 1
    assert_one_line(err, "x.npz: arrays, as results of ours are, no weights; only .safetensors weights are read")


@pytest.mark.parametrize("legacy", [False, True])
def test_no_command_runs_what_hides_in_a_file(run, entry, tmp_path, legacy):
    flag = tmp_path / "exploded"
    entry.path.parent.mkdir()
    content = {"model_pos": {"x": torch.zeros(1)}, "random_state": Bomb(flag)}
    torch.save(content, entry.path, _use_new_zipfile_serialization=not legacy)

    code, out, _ = run("verify")
    assert code == 1
    assert f"damaged  net  {entry.path}" in out
    code, _, err = run("info", entry.path)
    assert code == 1
    assert_one_line(err, "could run code")
    code, _, err = run("import", entry.path, "--arch", "mixste", "--out", "out.safetensors")
    assert code == 1
    assert_one_line(err, "could run code")
    assert not flag.exists()
    assert not (tmp_path / "out.safetensors").exists()
    # The file would have done it.
    torch.load(entry.path, weights_only=False)
    assert flag.exists()


def test_weights_lie_in_the_users_cache_unless_the_environment_says_otherwise(monkeypatch, tmp_path):
    monkeypatch.setenv("VIDPOSE_WEIGHTS", str(tmp_path))
    assert weights_folder() == tmp_path
    monkeypatch.setenv("VIDPOSE_WEIGHTS", "")
    monkeypatch.setattr(catalogue, "user_cache_path", lambda app, appauthor: tmp_path / app)
    assert weights_folder() == tmp_path / "vidpose" / "weights"


def test_entries_are_complete():
    paths = []
    for entry in WEIGHTS.values():
        file = entry.weights
        if not isinstance(file, Published):
            continue
        assert bool(file.url) != bool(file.page)
        assert (file.url + file.page).startswith("https://")
        # Nothing takes a file of one that a person downloaded.
        assert file.url or entry.kind != "backbone"
        assert entry.licence
        assert entry.paper
        # The published digits stand in the file's name; an archive's name has those of the checkpoint inside.
        assert bool(file.sha256) == (file.format in ("mmpose", "mmdet", "torchvision"))
        assert file.sha256 in file.path.name
        assert len(file.sha256) in (0, 8)
        assert bool(entry.layout) == (entry.kind in ("keypoints", "lifter"))
        if entry.layout:
            get_skeleton(entry.layout)
        paths += [file.path] if file.url else []
    assert len(set(paths)) == len(paths)


def test_whatever_the_tables_name_can_be_imported_and_has_that_name():
    for table in TABLES:
        for name, entry in table.items():
            if entry.loader:
                assert callable(imported(entry.loader)), name
            if entry.network:
                assert imported(entry.network).name == name


def test_the_list_has_the_facts_of_shipped_weights_own_files(run):
    listed = {row["name"]: row for row in json.loads(run("list", "--json")[1])}
    lines = {line.split()[0]: line for line in run("list")[1].splitlines() if line}
    for name, entry in shipped_entries(WEIGHTS).items():
        row, about = listed[name], read_header(entry.shipped.path)
        assert row["at_hand"]
        assert row["mib"] == round(entry.shipped.path.stat().st_size / 2**20, 1)
        assert row["licence"] == "Apache-2.0"
        told = dict(line.split(maxsplit=1) for line in run("info", name)[1].splitlines())
        assert told["parameters"] == f"{row['parameters']:,}"
        if entry.kind == "lifter":
            assert (row["frames"], row["layout"]) == (about["config"]["frames"], about["layout"])
            assert row["mpjpe"] == about["metrics"]["val_mpjpe_mm"] != entry.paper.mpjpe
            assert f"{row['mpjpe']:.1f} / {row['p_mpjpe']:.1f} mm" == row["metric"] in lines[name]


def test_lifters_of_others_are_those_that_import_knows():
    for entry in AUTHORS_WEIGHTS.values():
        assert lifter_class(entry.arch).name == entry.arch
        assert LIFTERS[entry.arch].paper == entry.paper


@pytest.mark.parametrize(
    ("name", "weights", "metric"),
    [
        ("torchvision:keypointrcnn", "KeypointRCNN_ResNet50_FPN_Weights.COCO_V1", "kp_map"),
        ("torchvision:fasterrcnn", "FasterRCNN_ResNet50_FPN_Weights.COCO_V1", "box_map"),
        ("torchvision:fasterrcnn-v2", "FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1", "box_map"),
        ("torchvision:fasterrcnn-mobilenet", "FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1", "box_map"),
        ("torchvision:ssdlite", "SSDLite320_MobileNet_V3_Large_Weights.COCO_V1", "box_map"),
        ("swin-t", "Swin_T_Weights.IMAGENET1K_V1", "acc@1"),
        ("vit-b-16", "ViT_B_16_Weights.IMAGENET1K_V1", "acc@1"),
    ],
)
def test_torchvision_says_the_same_of_its_weights(name, weights, metric):
    entry, theirs = WEIGHTS[name], torchvision.models.get_weight(weights)
    assert entry.weights.url == theirs.url
    assert entry.weights.mib == theirs.meta["_file_size"]
    measured = theirs.meta["_metrics"]["ImageNet-1K" if metric == "acc@1" else "COCO-val2017"]
    assert float(entry.metric.split()[-1]) == measured[metric]
