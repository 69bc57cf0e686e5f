"""Which room may import which: read from the sources, so that docs/architecture.md stays true by itself."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vidpose"

GROUND = {"common", "body", "weights", "body_models", "runtimes", "video"}
STAGES = {"people", "keypoints", "keypoint_files", "lifters", "refine", "views", "render", "export"}
ALLOWED = {
    "common": set(),
    "body": {"common"},
    "weights": {"common"},
    "body_models": {"common", "body", "weights"},
    "runtimes": {"common", "weights"},
    "video": {"common", "body"},
    **{stage: GROUND for stage in STAGES},
    "keypoint_data": GROUND | {"keypoints"},
    "datasets": GROUND | {"keypoint_data", "keypoint_files"},
    "synth": GROUND,
    "pipeline": GROUND | STAGES,
    "live": GROUND | STAGES | {"pipeline"},
    "many": GROUND | STAGES | {"pipeline"},
    "evaluation": GROUND | STAGES | {"keypoint_data", "datasets", "pipeline"},
    "training": GROUND | STAGES | {"keypoint_data", "datasets", "evaluation"},
}
"""Room -> the rooms whose files it may import, its own besides. `cli` may import every room, and none imports it."""

REACHES_UP = {"vidpose.body.tracks": {"render", "export", "pipeline"}}
"""The one exception: methods of `PoseResult`, where people look for them, hand over to rooms above, at the call."""

RUNS_THE_PROGRAM = {"vidpose.training.ablation", "vidpose.training.keypoint_ablation"}
"""Files that start the program itself, a process a row, and so spell its options."""

FLAG = re.compile(r"(?<![\w-])--[a-z]")

MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Names of modules that a file imports, wherever in it."""
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            for name in node.names:
                module = f"{node.module}.{name.name}"
                found.append(module if module in MODULES else node.module or "")
        elif isinstance(node, ast.Import):
            found += [name.name for name in node.names]
    return tuple(found)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


EDGES = [(module, other) for module, path in MODULES.items() for other in imports(path) if other in MODULES]


def test_every_file_has_a_room() -> None:
    loose = {module for module in MODULES if module.count(".") == 1 and MODULES[module].name != "__init__.py"}
    assert loose == {"vidpose.__main__"}
    rooms = {room_of(module) for module in MODULES} - {"", "__main__"}
    assert rooms == {*ALLOWED, "cli"}
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert not [room for room in rooms if f"`{room}/`" not in page]


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    wrong = [
        f"{module} imports {other}"
        for module, other in EDGES
        if room_of(module) == room and room_of(other) not in {room, "", *ALLOWED[room], *REACHES_UP.get(module, ())}
    ]
    assert not wrong


def test_only_the_program_imports_the_command_line() -> None:
    importers = {module for module, other in EDGES if room_of(other) == "cli" and room_of(module) != "cli"}
    assert importers == {"vidpose.__main__"}


def test_the_allowed_edges_have_no_circle() -> None:
    below = {room: set(rooms) - {room} for room, rooms in ALLOWED.items()}
    while below:
        lowest = {room for room, rooms in below.items() if not rooms & below.keys()}
        assert lowest, f"a circle among {sorted(below)}"
        below = {room: rooms for room, rooms in below.items() if room not in lowest}


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("av", {"video"}),
        ("pi_heif", {"video"}),
        ("onnxruntime", {"runtimes"}),
        ("mmdet", {"runtimes", "people"}),
        ("mmpose", {"runtimes", "keypoints"}),
        ("websockets", {"live"}),
        ("pythonosc", {"live"}),
        ("click", {"cli"}),
        ("rich_click", {"cli"}),
    ],
)
def test_a_foreign_library_is_known_to_its_rooms_only(library: str, rooms: set[str]) -> None:
    users = defaultdict(list)
    for module, path in MODULES.items():
        if any(name.split(".")[0] == library for name in imports(path)):
            users[room_of(module)].append(module)
    assert users.keys() <= rooms, dict(users)


def test_no_two_files_have_one_name() -> None:
    by_name = defaultdict(list)
    for module, path in MODULES.items():
        if path.name != "__init__.py":
            by_name[path.name].append(module)
    assert not {name: modules for name, modules in by_name.items() if len(modules) > 1}


def test_no_two_classes_have_one_name() -> None:
    """But for `Config`, which every network has one of, beside it."""
    by_name = defaultdict(list)
    for module, path in MODULES.items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef) and node.name != "Config":
                by_name[node.name].append(module)
    assert not {name: modules for name, modules in by_name.items() if len(modules) > 1}


def test_only_the_command_line_spells_a_flag() -> None:
    """Errors elsewhere name a parameter and its value, and `vidpose.cli.spelling` makes options of them."""
    flags = [
        f"{module}:{node.lineno} {node.value}"
        for module, path in MODULES.items()
        if room_of(module) != "cli" and module not in RUNS_THE_PROGRAM
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and FLAG.search(node.value)
    ]
    assert not flags
