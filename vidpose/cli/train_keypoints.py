"""`vidpose train-keypoints`: annotated pictures and a recipe in, weights of a 2D keypoint network out."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

_PATH = click.Path(exists=True, path_type=Path)


@click.command()
@click.argument("data", nargs=-1, required=True, type=_PATH)
@click.option("--arch", "recipe_name", required=True, metavar="NAME|FILE",
              help="Recipe: that of a network by its name, or a TOML file.")  # fmt: skip
@click.option("--held-out", required=True, type=_PATH, help="Pictures to validate on.")
@click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of the pictures.  [default: that of their annotations]")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to write to.  [default: runs/NAME]")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the recipe.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True,
              help="GPUs, or processes on the CPU, that share the batch.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=0), default=4, show_default=True,
              help="Processes that read and cut pictures; 0: none besides the one that trains.")  # fmt: skip
@click.option("--compile", "compiled", is_flag=True, help="Compile the network: slow to start, faster then.")
@click.option("--half", is_flag=True, help="Export the weights in float16.")
@click.option("--save-minutes", default=3.0, show_default=True, help="Between checkpoints.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out.")
@click.option("--overwrite", is_flag=True, help="Begin anew where there is a run already.")
def train_keypoints(
    data: tuple[Path, ...], recipe_name: str, held_out: Path, images: Path | None, out: Path | None,
    settings: tuple[str, ...], device: str, devices: int, workers: int, compiled: bool, half: bool,
    save_minutes: float, resume: bool, overwrite: bool,
) -> None:  # fmt: skip
    """Train a 2D keypoint network on DATA: COCO keypoint files, or folders of clips that `vidpose synth` rendered."""
    from vidpose.training.keypoint_recipe import read_keypoint_recipe

    recipe = read_keypoint_recipe(recipe_name, settings)

    from vidpose.cli.progress import training_bar
    from vidpose.training.pictures import train_keypoints

    train_keypoints(
        recipe, data, held_out, out or Path("runs") / recipe.name, images=images, workers=workers, device=device,
        devices=devices, compile=compiled, half=half, resume=resume, overwrite=overwrite, save_minutes=save_minutes,
        bar=training_bar, say=click.echo,
    )  # fmt: skip
