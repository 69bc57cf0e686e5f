"""`vidpose models`: the lifters there are."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import rich_click as click

from vidpose.common.files import to_json

if TYPE_CHECKING:
    from rich.table import Table

    from vidpose.lifters.lifter_table import LifterEntry


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models(as_json: bool) -> None:
    """List the weights that come with vidpose, and the lifters as their papers have them."""
    from vidpose.lifters.lifter_table import LIFTERS

    if as_json:
        click.echo(to_json([_listed(entry) for entry in LIFTERS.values()], indent=2))
        return

    from vidpose.cli.console import table_console

    console = table_console()
    console.print(_shipped())
    click.echo(
        "\nTheir errors: millimetres on held-out motion capture, by imitated 2D keypoints; not to be compared with the "
        "papers' below.\n"
    )
    console.print(_papers())
    click.echo(
        "\nsees: how many frames decide the answer for one. MPJPE: millimetres on Human3.6M, protocol 1, as the paper "
        "reports it.\nTitles of papers, and how they measured: vidpose models --json"
    )


def _table(*headings: tuple[str, str]) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading, side in headings:
        table.add_column(heading, justify="right" if side == "right" else "left", no_wrap=True)
    return table


def _shipped() -> Table:
    """What the files say of the weights that come with vidpose."""
    from vidpose.lifters.lifter_table import DEFAULT, ZOO
    from vidpose.weights.facts import facts_of

    table = _table(("weights that come with vidpose", "left"), ("parameters", "right"), ("MiB", "right"),
                   ("joints", "left"), ("window", "right"), ("MPJPE", "right"), ("P-MPJPE", "right"))  # fmt: skip
    for entry in ZOO.values():
        facts = facts_of(entry)
        table.add_row(
            f"{entry.name}, in the default" if entry.name in DEFAULT.split("+") else entry.name,
            f"{(facts.parameters or 0) / 1e6:.2f} M",
            f"{facts.mib:.1f}",
            facts.layout,
            f"{facts.frames}",
            *(f"{error:.1f}" if error else "" for error in (facts.mpjpe, facts.p_mpjpe)),
        )
    return table


def _papers() -> Table:
    from vidpose.lifters.lifter_table import LIFTERS

    table = _table(("lifter", "left"), ("paper", "left"), ("parameters", "right"), ("MACs/frame", "right"),
                   ("sees", "right"), ("answers", "left"), ("MPJPE", "right"))  # fmt: skip
    for entry in LIFTERS.values():
        paper = entry.paper
        table.add_row(
            entry.name,
            paper.venue if paper else "",
            f"{entry.parameters / 1e6:.2f} M",
            f"{entry.macs_per_frame / 1e6:,.1f} M",
            f"{entry.receptive_field}",
            {"sequence": "all frames", "centre": "centre frame", "last": "last frame"}[entry.predicts],
            f"{paper.mpjpe:.1f}" if paper and paper.mpjpe else "",
        )
    return table


def _listed(entry: LifterEntry) -> dict[str, Any]:
    """A lifter at its paper's setting, and the facts of the weights that come with vidpose."""
    from vidpose.weights.facts import facts_of

    fields = ("parameters", "macs_per_frame", "frames", "receptive_field", "predicts")
    weights = {"file": entry.weights.file} | asdict(facts_of(entry)) if entry.weights else None
    paper = asdict(entry.paper) if entry.paper else None
    return {"name": entry.name, "paper": paper} | {f: getattr(entry, f) for f in fields} | {"weights": weights}
