"""Pages of the documentation site that are made of something else: the help of every command, the docstrings of every
room, and the files at the root.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "vidpose"

FROM_THE_ROOT = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}


def on_config(config: Any) -> Any:
    """Put a page for each room into the list of pages."""
    for section in config.nav:
        for entry in next(iter(section.values())):
            if isinstance(entry, dict) and entry.get("Every function") == "reference/":
                pages = [{room: f"reference/{room}.md"} for room in rooms()]
                entry["Every function"] = [{"The rooms": "reference/index.md"}, *pages]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    pages = {"commands.md": commands_page(), "reference/index.md": rooms_page()}
    pages |= {f"reference/{room}.md": room_page(room) for room in rooms()}
    pages |= {page: from_the_root(ROOT / name) for page, name in FROM_THE_ROOT.items()}
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Name what is not part of the site, instead of linking to it."""
    return re.sub(r"\[([^\]]+)\]\(\.\./(?!architecture)[^)]+\)", r"\1", markdown)


def from_the_root(path: Path) -> str:
    """A file at the root, with its links as they are from within `docs`."""
    text = path.read_text(encoding="utf-8").replace("](docs/", "](")
    for page, name in FROM_THE_ROOT.items():
        text = text.replace(f"]({name})", f"]({page})")
    # What is not part of the site is named, not linked.
    return re.sub(r"\[([^\]]+)\]\((?![a-z-]+\.md|images/|#)[^)]+\)", r"\1", text)


def rooms() -> list[str]:
    """Names of the packages that other code may import."""
    return sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py") if path.parent.name != "cli")


def rooms_page() -> str:
    lines = [
        "# Every function",
        "",
        "One page a room. [How it is built](../architecture.md) says which room is for what.",
        "",
    ]
    for room in rooms():
        about = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
        lines.append(f"- [`vidpose.{room}`]({room}.md): {about.splitlines()[0]}")
    return "\n".join(lines)


def room_page(room: str) -> str:
    blocks = [f"# vidpose.{room}"]
    for path in sorted((PACKAGE / room).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        # What a package's `__init__` only imports is shown where it is defined.
        options = {"show_submodules": False, "show_root_full_path": True, "members": public_names(path) or False}
        blocks.append(f"::: {module}\n    options: {json.dumps(options)}")
    return "\n\n".join(blocks)


def public_names(path: Path) -> list[str]:
    """The functions and classes that a file defines for others."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


def commands_page() -> str:
    """`--help` of every command, as it is printed."""
    sys.path.insert(0, str(ROOT))
    import click

    from vidpose.cli import cli

    exits = "Exit codes: 0 when all went well, 1 for a job that failed, 2 for wrong use, 130 at Ctrl-C."
    blocks = ["# Commands", f"`vidpose COMMAND --help` prints the same. {exits}"]

    def describe(command: click.Command, name: str) -> None:
        context = click.Context(command, info_name=name)
        blocks.extend((f"## {name}", f"```text\n{plain_help(command, context)}\n```"))
        if isinstance(command, click.Group):
            for child in command.list_commands(context):
                describe(command.get_command(context, child), f"{name} {child}")

    describe(cli, "vidpose")
    return "\n\n".join(blocks)


def plain_help(command: Any, context: Any) -> str:
    """Help without the frames and colours that a terminal gets."""
    import click

    from vidpose.cli import COMMANDS, cli

    def summary(name: str) -> str:
        if command is cli:
            return COMMANDS[name]
        return (command.get_command(context, name).help or "").partition("\n")[0]

    formatter = click.HelpFormatter(width=80)
    command.format_usage(context, formatter)
    click.Command.format_help_text(command, context, formatter)
    click.Command.format_options(command, context, formatter)
    if isinstance(command, click.Group):
        names = command.list_commands(context)
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(name)) for name in names])
    return formatter.getvalue().strip()
