"""What a user installs holds what it needs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from vidpose.lifters.lifter_table import ZOO

ROOT = Path(__file__).parent.parent

FIND = """
import vidpose
from vidpose.weights.shipped import shipped
from vidpose.lifters.lifter_table import ZOO
print(vidpose.__file__)
print(len(list(shipped("samples").glob("*.mp4"))), len(list(shipped("recipes").glob("*.toml"))))
from vidpose.datasets.cmu_cameras import published_cameras
from vidpose.evaluation.published import published_tables
print(len(published_cameras()), len({table.paper for table in published_tables()}))
from vidpose.pipeline.table import WEIGHTS
from vidpose.weights.catalogue import shipped_entries
for entry in shipped_entries(WEIGHTS).values():
    entry.shipped.checked()
    if entry.shipped.graph:
        entry.shipped.graph.checked()
from importlib.resources import files
assert files("vidpose").joinpath("py.typed").is_file()
for name in ZOO:
    print(vidpose.load_lifter(name).name)
"""


def test_weights_samples_recipes_and_data_are_found_in_an_installed_wheel(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-c", FIND], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    where, counts, data, *lifters = done.stdout.splitlines()
    assert Path(where).is_relative_to(site)
    assert counts == f"{len(list(ROOT.glob('samples/*.mp4')))} {len(list(ROOT.glob('recipes/*.toml')))}"
    assert data == "4 5"
    assert lifters == list(ZOO)
