"""`vidpose train`: recipe in, weights out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import rich_click as click

from vidpose.cli.run_options import RunOptions, running_options
from vidpose.common.errors import UsageError


@click.command()
@click.argument("recipe_name", metavar="[RECIPE]", required=False)
@click.option("--arch", metavar="NAME", help="The recipe of this lifter, as its paper reports it. The same as RECIPE.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path),
              help="Folder from `vidpose data prepare`, or of CMU-17 shards.  [default: data/DATASET]")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to write to.  [default: runs/NAME]")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key of the recipe.")
@click.option(
    "--released-code", is_flag=True, help="Where the paper and its released code differ, do as the code does."
)
@click.option("--init", metavar="NAME|FILE", help="Start from these weights.")
@running_options
def train(
    recipe_name: str | None, arch: str | None, data: Path | None, out: Path | None, settings: tuple[str, ...],
    released_code: bool, init: str | None, runoptions: RunOptions,
) -> None:  # fmt: skip
    """Train a lifter. RECIPE is the name of a recipe that comes with vidpose, or a TOML file."""
    from vidpose.training.recipe import read_recipe, recipe_names

    name = recipe_name or arch
    if name is None or (recipe_name and arch):
        some = ", ".join(name for name in recipe_names() if "/" not in name)
        raise UsageError(f"what to train? Give one RECIPE, or --arch: {some}; or a TOML file")
    recipe = read_recipe(name, settings, released_code)
    if init is not None:
        recipe = replace(recipe, init=init)

    from vidpose.training.loop import train

    data, out = data or Path("data") / recipe.data.dataset, out or Path("runs") / recipe.name
    train(recipe, data, out, **runoptions.options())
