"""Many videos on a real Ray cluster of this machine: a worker is killed in the middle, and a video cannot be read."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import vidpose
from vidpose.common.errors import VidposeError
from vidpose.video import VideoReader, VideoWriter

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'vidpose[cluster]')")

from ray.cluster_utils import Cluster  # noqa: E402

pytestmark = pytest.mark.slow


def workers() -> list[int]:
    """Processes of the cluster that are at a video."""
    lines = subprocess.run(
        ["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if line.split()[2:3] == ["ray::do"]]


def kill_the_first(killed: list[int], until: threading.Event) -> None:
    while not until.is_set():
        for pid in workers():
            time.sleep(1)
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
            return
        time.sleep(0.1)


HEAD = {"num_cpus": 2, "include_dashboard": False}


@pytest.fixture
def videos(walk_sample: Path, tmp_path: Path) -> Path:
    """Three short ones of a walker, and one that nobody can read."""
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "poison.mkv").write_bytes(bytes(range(256)) * 40)
    for name in ("a", "b", "c"):
        with VideoReader(walk_sample, end=0.3) as video, VideoWriter(videos / f"{name}.mp4", (640, 480)) as writer:
            for frame in video:
                writer.write(frame.image, frame.time)
    return videos


def test_a_killed_worker_and_a_poisoned_video_stop_no_other(videos: Path, tmp_path: Path):
    cluster = Cluster(initialize_head=True, head_node_args=HEAD)
    killed: list[int] = []
    done = threading.Event()
    killer = threading.Thread(target=kill_the_first, args=(killed, done))
    killer.start()
    try:
        how = {"overlay": "none", "device": "cpu", "ray": cluster.address}
        records = vidpose.batch(videos, tmp_path / "out", **how)
    finally:
        done.set()
        killer.join()
        cluster.shutdown()
    assert len(killed) == 1
    assert {record.name for record in records if record.failure} == {"poison"}
    assert [record.people for record in records if not record.failure] == [1, 1, 1]


def lose_the_head(cluster: Cluster, first: Path) -> None:
    """Shut a cluster down once the first video is whole."""
    while not first.exists():
        time.sleep(0.1)
    cluster.shutdown()


def test_a_batch_whose_cluster_lost_its_head_says_so_and_goes_on_with_another(videos: Path, tmp_path: Path):
    out, how = tmp_path / "out", {"overlay": "none", "device": "cpu"}
    cluster = Cluster(initialize_head=True, head_node_args=HEAD | {"num_cpus": 1})
    end = threading.Thread(target=lose_the_head, args=(cluster, out / "a" / "record.json"))
    end.start()
    with pytest.raises(VidposeError, match="no longer answers; give the command again"):
        vidpose.batch(videos, out, **how, ray=cluster.address)
    end.join()
    before = {path.parent.name: path.stat().st_mtime_ns for path in out.glob("*/record.json")}
    assert "not done yet" in (out / "summary.csv").read_text()
    assert {"a"} <= set(before) < {"a", "b", "c", "poison"}

    cluster = Cluster(initialize_head=True, head_node_args=HEAD)
    try:
        records = vidpose.batch(videos, out, **how, ray=cluster.address)
    finally:
        cluster.shutdown()
    assert [record.people for record in records if not record.failure] == [1, 1, 1]
    after = {path.parent.name: path.stat().st_mtime_ns for path in out.glob("*/record.json")}
    assert {name: after[name] for name in before} == before
