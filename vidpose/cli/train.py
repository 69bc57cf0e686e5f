"""`vidpose train`: recipe in, weights out."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import rich_click as click

from vidpose.cli.settings import apply_settings
from vidpose.errors import UsageError


def read_recipe(path: Path, settings: tuple[str, ...]) -> dict[str, Any]:
    """A recipe file with `key=value` (or `table.key=value`) settings put over it.

    Raises:
        UsageError: the file or a setting is not TOML.
    """
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not a recipe ({error})") from None
    return apply_settings(values, settings)


@click.command()
@click.argument("recipe", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of the CMU-17 shards.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the recipe.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out.")
def train(recipe: Path, data: Path, out: Path, settings: tuple[str, ...], device: str, resume: bool) -> None:
    """Train a lifter as RECIPE, a TOML file, says."""
    values = read_recipe(recipe, settings)
    from vidpose.devices import choose_device
    from vidpose.training.loop import Recipe, train

    def report(row: dict[str, float]) -> None:
        click.echo("  ".join(f"{key} {value:.6g}" for key, value in row.items()))

    if (out / "weights.safetensors").exists() and not resume:
        raise UsageError(f"{out}: holds a finished run; choose another --out, or --resume")
    made = train(Recipe.from_dict(values, str(recipe)), data, out, device=choose_device(device), resume=resume,
                 report=report)  # fmt: skip
    click.echo(f"wrote {made}")
