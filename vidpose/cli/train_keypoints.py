"""`vidpose train-keypoints`: annotated pictures and a recipe in, weights of a 2D keypoint network out."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from vidpose.cli.run_options import RunOptions, running_options

_PATH = click.Path(exists=True, path_type=Path)


@click.command()
@click.argument("data", nargs=-1, required=True, type=_PATH)
@click.option("--arch", "recipe_name", required=True, metavar="NAME|FILE",
              help="The recipe: a network's name, or a TOML file.")  # fmt: skip
@click.option("--held-out", required=True, type=_PATH, help="Pictures to validate on. DATA must not contain them.")
@click.option("--frames", type=click.IntRange(min=1), help="Frames in a window, for a network that sees clips.")
@click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of the pictures.  [default: that of the annotations]")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to write to.  [default: runs/NAME]")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key of the recipe.")
@click.option("--workers", type=click.IntRange(min=0), default=4, show_default=True,
              help="Processes that read and cut pictures. With 0, the training itself does it.")  # fmt: skip
@running_options
def train_keypoints(
    data: tuple[Path, ...], recipe_name: str, held_out: Path, frames: int | None, images: Path | None, out: Path | None,
    settings: tuple[str, ...], workers: int, runoptions: RunOptions,
) -> None:  # fmt: skip
    """Train a 2D keypoint network.

    DATA is COCO keypoint files, or folders of clips from `vidpose synth`. Networks that see clips (temporal-relational,
    vit-s, vit-b) learn from clips only.
    """
    from vidpose.training.keypoint_recipe import ClipRecipe, read_keypoint_recipe

    recipe = read_keypoint_recipe(recipe_name, (*settings, *([f"model.frames={frames}"] if frames else [])))
    out = out or Path("runs") / recipe.name
    if isinstance(recipe, ClipRecipe):
        from vidpose.training.clip_training import train_clips

        train_clips(recipe, data, held_out, out, images=images, workers=workers, **runoptions.options())
    else:
        from vidpose.training import picture_training

        train = picture_training.train_keypoints
        train(recipe, data, held_out, out, images=images, workers=workers, **runoptions.options())
