"""`vidpose train`: recipe in, weights out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import rich_click as click

from vidpose.errors import UsageError


@click.command()
@click.argument("recipe_name", metavar="[RECIPE]", required=False)
@click.option("--arch", help="The same as RECIPE of that name: a lifter as its paper reports it.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path),
              help="Folder that `vidpose data prepare` wrote, or of shards.  [default: data/DATASET]")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to write to.  [default: runs/NAME]")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the recipe.")
@click.option("--released-code", is_flag=True, help="As the released code does it, where the paper says otherwise.")
@click.option("--init", metavar="NAME|FILE", help="Weights to start from.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True,
              help="GPUs, or processes on the CPU, that share the batch.")  # fmt: skip
@click.option("--compile", "compiled", is_flag=True, help="Compile the lifter: slow to start, faster then.")
@click.option("--half", is_flag=True, help="Export the weights in float16.")
@click.option("--save-minutes", default=3.0, show_default=True, help="Between checkpoints.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out.")
@click.option("--overwrite", is_flag=True, help="Begin anew where there is a run already.")
def train(
    recipe_name: str | None, arch: str | None, data: Path | None, out: Path | None, settings: tuple[str, ...],
    released_code: bool, init: str | None, device: str, devices: int, compiled: bool, half: bool, save_minutes: float,
    resume: bool, overwrite: bool,
) -> None:  # fmt: skip
    """Train a lifter as RECIPE says: the name of one that comes with vidpose, or a TOML file."""
    from vidpose.training.recipe import read_recipe, recipe_names

    if (recipe_name is None) == (arch is None):
        some = ", ".join(name for name in recipe_names() if "/" not in name)
        raise UsageError(f"what to train? Give one RECIPE, or --arch: {some}; or a TOML file")
    recipe = read_recipe(recipe_name or arch, settings, released_code)
    if init is not None:
        recipe = replace(recipe, init=init)

    from vidpose.cli.progress import training_bar
    from vidpose.training.loop import train

    train(
        recipe, data or Path("data") / recipe.data.dataset, out or Path("runs") / recipe.name, device=device,
        devices=devices, compile=compiled, half=half, resume=resume, overwrite=overwrite, save_minutes=save_minutes,
        bar=training_bar, say=click.echo,
    )  # fmt: skip
