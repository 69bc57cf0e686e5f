"""Many videos on a real Ray cluster of this machine: a worker is killed in the middle, and a video cannot be read."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import vidpose
from vidpose.many.records import read_record
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


def test_a_batch_whose_cluster_lost_its_head_says_so_and_goes_on_with_another(videos: Path, tmp_path: Path):
    out = tmp_path / "out"
    cluster = Cluster(initialize_head=True, head_node_args=HEAD | {"num_cpus": 1})
    # A process of its own: Ray ends whoever has lost a head.
    command = [sys.executable, "-m", "vidpose", "batch", str(videos), "--out", str(out), "--no-overlay"]
    command += ["--device", "cpu", "--ray"]
    with subprocess.Popen([*command, cluster.address], stderr=subprocess.PIPE, text=True) as running:
        while not (out / "a" / "record.json").exists():
            time.sleep(0.1)
        cluster.head_node.kill_all_processes(check_alive=False)
        errors = running.communicate()[1]
    assert running.returncode == 1
    assert "no longer answers; give the command again once it is back" in errors
    assert "not done yet" in (out / "summary.csv").read_text()
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/record.json")}
    assert len(before) < 4

    cluster = Cluster(initialize_head=True, head_node_args=HEAD)
    try:
        done = subprocess.run([*command, cluster.address], capture_output=True, text=True, check=False)
    finally:
        cluster.shutdown()
    assert done.returncode == 1  # the poisoned one
    assert {name: read_record(out / name).people for name in "abc"} == dict.fromkeys("abc", 1)
    assert {path: path.stat().st_mtime_ns for path in before} == before
