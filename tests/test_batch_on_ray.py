"""Many videos on a real Ray cluster of this machine: a worker is killed in the middle, and a video cannot be read."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import vidpose
from vidpose.video import VideoReader, VideoWriter

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'vidpose[cluster]')")

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


def test_a_killed_worker_and_a_poisoned_video_stop_no_other(walk_sample: Path, tmp_path: Path):
    from ray.cluster_utils import Cluster

    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "poison.mkv").write_bytes(bytes(range(256)) * 40)
    for name in ("a", "b", "c"):
        with VideoReader(walk_sample, end=0.3) as video, VideoWriter(videos / f"{name}.mp4", (640, 480)) as writer:
            for frame in video:
                writer.write(frame.image, frame.time)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
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
