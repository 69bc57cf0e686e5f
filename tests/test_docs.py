"""The documentation is true: its commands and its Python run, its links lead somewhere, its lists are complete."""

import ast
import glob
import re
import shlex
import shutil
import warnings
import webbrowser
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from vidpose.body.tracks import PoseResult
from vidpose.cli import COMMANDS, cli
from vidpose.common.errors import VidposeError
from vidpose.video import VideoReader, VideoWriter, parse_time_range
from vidpose.weights.shipped import shipped

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

RUN = (
    "README",
    "first-video",
    "animation",
    "angles",
    "mesh",
    "exports",
    "view",
    "views",
    "world",
    "fit",
    "lifters",
    "api",
    "index",
    "other-keypoints",
)
"""Pages whose commands and Python are run, on eight frames of a sample. Those of the others are only parsed."""

NOT_RUN = {
    r"weights fetch": "goes over the network",
    r"--detector (torchvision|rtmdet|mmdet)|--keypoints (hrnet-w32|rtm|mmpose)": "wants weights that are fetched",
    r"^vidpose (data|eval|train|ablate|train-keypoints|eval-keypoints|synth)\b": "wants a benchmark, or takes hours",
    r"temporal-relational|--in-step": "wants weights of one's own",
    r"weights import": "wants an author's checkpoint",
    r"--rerun": "wants the Rerun viewer",
    r"SMPLX": "wants a file with a licence of its own",
    r"--ray": "wants a cluster",
    r"d3dp": "wants an author's checkpoint",
}
"""Commands that are only parsed, and why."""

CALIBRATION = """
[cam{number}]
name = "{name}"
size = [640.0, 480.0]
matrix = [[{focal}, 0.0, 320.0], [0.0, {focal}, 240.0], [0.0, 0.0, 1.0]]
distortions = [0.0, 0.0, 0.0, 0.0]
rotation = [1.2, {turn}, 0.1]
translation = [{turn}, 1.0, 4.0]
fisheye = false
"""


def commands(page: Path) -> list[str]:
    """Every `vidpose ...` of a page's code, without comments, with lines that go on joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^ {4}(vidpose .*)$", text, re.MULTILINE)
    return [re.sub(r"\s+#.*", "", line).removesuffix("...").strip() for line in lines]


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


ALL_COMMANDS = [pytest.param(page, line, id=f"{page.stem}: {line}") for page in PAGES for line in commands(page)]
TO_RUN = {
    case.values[1].replace("walk", "video"): case
    for case in reversed(ALL_COMMANDS)
    if case.values[0].stem in RUN and not any(re.search(pattern, case.values[1]) for pattern in NOT_RUN)
}
"""Each once, though several pages have it; walk.mp4 is the same video."""


def test_there_is_something_to_test():
    assert len(ALL_COMMANDS) > 70
    assert len(TO_RUN) > 20
    mentioned = {line.split()[1] for _, line in (case.values for case in ALL_COMMANDS)}
    assert mentioned >= set(COMMANDS)


@pytest.mark.parametrize(("page", "line"), ALL_COMMANDS)
def test_every_command_is_one_that_there_is(page, line, tmp_path, monkeypatch):
    """Parsed as the program does it, without being called. Files that it names are there."""
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(line)[1:]
    for word in arguments:
        path = Path(word.rpartition("=")[2].split(",")[0]).expanduser()
        if "*" not in word and not path.is_absolute() and not word.startswith("-"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(exist_ok=True) if not path.suffix else path.touch()
    arguments = [name for word in arguments for name in ([word] if "*" not in word else [word.replace("*", "1")])]
    command, words = cli, arguments
    while hasattr(command, "get_command"):
        name, *words = words
        command = command.get_command(command.make_context("vidpose", [name, *words]), name)
        assert command, f"{page.name}: {line}: no command {name}"
    with command.make_context(name, words):
        pass


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A folder with what the pages speak of: videos, and what `vidpose infer` made of one."""
    folder = tmp_path_factory.mktemp("pages")
    for sample, names in {
        "walk-wave": ("video", "walk", "cam01", "cam02", "left", "right", "back"),
        "two-people": ("duet",),
    }.items():
        with VideoReader(shipped("samples") / f"{sample}.mp4", start=3.0, end=3.32) as video:
            frames = list(video)
            with VideoWriter(folder / "film.mp4", (video.width, video.height)) as film:
                for frame in frames:
                    film.write(frame.image, frame.time - frames[0].time)
        for name in names:
            shutil.copy(folder / "film.mp4", folder / f"{name}.mp4")
        (folder / "film.mp4").unlink()
    pair = ("cam01", "cam02")
    views = {"calibration.qca.txt": pair, "calib.toml": pair, "Calib_scene.toml": ("left", "right", "back")}
    for file, cameras in views.items():
        parts = [CALIBRATION.format(number=i, name=name, focal=700.0, turn=0.4 * i) for i, name in enumerate(cameras)]
        (folder / file).write_text("".join(parts))
    from vidpose.lifters import create_lifter
    from vidpose.lifters.zoo import save_lifter

    save_lifter(create_lifter("mixste", frames=243, width=16, depth=1, heads=2), folder / "mixste.safetensors", {})
    (folder / "out").mkdir()
    call(folder, "vidpose infer duet.mp4 --no-overlay --out made")
    for name in ("video", "walk"):
        result = PoseResult.load(folder / "made" / "duet.npz")
        shutil.copy(folder / "duet.mp4", folder / f"{name}.mp4")
        moved = result.with_tracks(result.tracks)
        object.__setattr__(moved.source, "path", f"{name}.mp4")
        moved.save(folder / "out" / f"{name}.npz")
        if name == "video":
            result.export("openpose", folder / "made" / "x")
            (folder / "made" / "x_openpose").rename(folder / "openpose")
            for camera in pair:
                shutil.copytree(folder / "openpose", folder / f"{camera}_json")
            result.export("coco", folder / "made" / "x")
            (folder / "made" / "x_coco.json").rename(folder / "predictions.json")
    shutil.rmtree(folder / "made")
    return folder


def call(folder: Path, line: str) -> str:
    import os

    before = Path.cwd()
    os.chdir(folder)
    try:
        arguments = [name for word in shlex.split(line)[1:] for name in (sorted(glob.glob(word)) or [word])]
        done = CliRunner().invoke(cli, arguments)
    finally:
        os.chdir(before)
    if isinstance(done.exception, VidposeError):
        raise AssertionError(f"{line}: {done.exception}")
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, f"{line}: {done.output}"
    return done.output


@pytest.fixture
def folder(base, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(webbrowser, "open", lambda address: True)
    shutil.copytree(base, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize(("page", "line"), TO_RUN.values())
def test_commands_run(page, line, folder, monkeypatch):
    if "out/" not in line:
        shutil.rmtree(folder / "out")
    if stretch := re.search(r"--time (\S+)", line):
        parse_time_range(stretch[1])
        line = line.replace(stretch[1], "0:00-0:00.3")
    if "bfloat16" in line:
        # One without it computes the same, slowly.
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    if "*.mp4" in line:
        line = line.replace("*.mp4", "d*.mp4")
    before = {path for path in folder.rglob("*") if path.is_file()}
    output = call(folder, line)
    after = {path for path in folder.rglob("*") if path.is_file()}
    assert output
    if not re.match(r"vidpose (models|weights)", line):
        assert after > before, f"{line} wrote nothing"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem in RUN and python_blocks(page)], ids=lambda page: page.stem
)
def test_python_runs(page, folder):
    for block in python_blocks(page):
        if "to_dataframe" in block:
            pytest.importorskip("pandas")
        exec(compile(block, str(page), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=lambda page: page.stem)
def test_python_of_every_page_imports_what_there_is(page):
    for block in python_blocks(page):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                exec(compile(ast.Module([node], []), str(page), "exec"), {})


def test_the_notebook_runs(folder):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(ROOT / "examples" / "quickstart.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "a notebook is committed without its outputs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 2
    assert (folder / "quickstart" / "walk_person1.bvh").exists()


# Links and lists


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_to_files(page):
    # Pages that the site makes of the help and the docstrings.
    made = {"commands.md", "contributing.md", "changelog.md", "reference/index.md"}
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target in made or (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_site_builds_and_fetches_nothing(tmp_path):
    import os
    import subprocess
    import sys

    pytest.importorskip("mkdocs")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?:)?//', page.read_text(encoding="utf-8"))
        assert not loaded, page
    api = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    import vidpose

    for name in set(vidpose.__all__) - {"__version__"}:
        assert f'id="vidpose.{name}"' in api, f"docs/api.md lacks {name}"


def test_lists_in_the_docs_are_complete():
    from vidpose.datasets import DATASETS
    from vidpose.export import FORMATS
    from vidpose.lifters import lifter_names
    from vidpose.lifters.lifter_table import LIFTERS
    from vidpose.pipeline.networks import DETECTORS, KEYPOINTS
    from vidpose.weights.catalogue import shipped_entries

    for page, names in {
        "accuracy.md": shipped_entries(LIFTERS),
        "exports.md": FORMATS,
        "benchmarks.md": DATASETS,
        "lifters.md": lifter_names(),
        "detectors.md": {*DETECTORS, *KEYPOINTS},
    }.items():
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        missing = [name for name in names if f"`{name}`" not in text]
        assert not missing, f"docs/{page} does not name {missing}"


def test_the_api_page_has_every_name_of_the_package():
    import vidpose

    shown = re.findall(r"^::: vidpose\.(\w+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(shown) == sorted(set(vidpose.__all__) - {"__version__"})


def test_make_has_what_the_docs_say_it_makes():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        named = re.findall(r"(?:^ {4}|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert targets >= set(named), page.name


def test_every_option_of_infer_is_in_a_group():
    import rich_click

    from vidpose.cli.infer import infer

    grouped = {option for group in rich_click.rich_click.OPTION_GROUPS["*infer"] for option in group["options"]}
    options = {parameter.opts[0] for parameter in infer.params if parameter.param_type_name == "option"}
    assert options - grouped == {"--device", "--threads"}


def test_the_workflow_tests_every_python_that_is_supported():
    yaml = pytest.importorskip("yaml")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    tested = workflow["jobs"]["quick-tests"]["strategy"]["matrix"]["python"]
    classifiers = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert tested == classifiers


def test_every_public_function_says_what_it_is():
    """Functions and classes that the reference shows: a docstring each."""
    without = []
    for path in sorted((ROOT / "vidpose").rglob("*.py")):
        if "cli" in path.parts:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and not ast.get_docstring(node):
                without.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert not without
