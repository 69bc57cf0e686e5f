"""`vidpose weights import`: an authors' checkpoint into our weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from vidpose.cli.settings import apply_settings
from vidpose.files import check_free


@click.group()
def weights() -> None:
    """Weights of lifters."""


@weights.command("import")
@click.argument("checkpoint", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--arch", required=True, help="The lifter it is of; `vidpose models` lists them.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="What the tensors' shapes do not tell.")
@click.option("--overwrite", is_flag=True, help="Replace --out if it exists.")
def import_(checkpoint: Path, arch: str, out: Path, settings: tuple[str, ...], overwrite: bool) -> None:
    """Convert CHECKPOINT, a file that the authors of a lifter released, to .safetensors. Nothing in it is run."""
    from vidpose.importing import import_lifter
    from vidpose.zoo import save_lifter

    def tell(assumed: dict[str, Any]) -> None:
        listed = ", ".join(f"{key}={value}" for key, value in assumed.items())
        click.echo(f"as in the paper, since the tensors' shapes do not tell: {listed} (--set KEY=VALUE for others)")

    if not overwrite:
        check_free([out])
    lifter = import_lifter(checkpoint, arch, apply_settings({}, settings), report=tell)
    save_lifter(lifter, out, {"source": checkpoint.name})
    click.echo(f"wrote {out}: {arch}, {sum(p.numel() for p in lifter.parameters()):,} parameters")
