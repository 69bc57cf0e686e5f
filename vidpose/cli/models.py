"""`vidpose models`: the lifters there are."""

from __future__ import annotations

import json
from dataclasses import asdict

import rich_click as click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models(as_json: bool) -> None:
    """List the lifters: paper, size, cost, and which weights are at hand."""
    from vidpose.lifters import lifter_names
    from vidpose.lifters.summary import summarise
    from vidpose.lifters.zoo import ZOO

    summaries = [summarise(name) for name in lifter_names()]
    if as_json:
        listed = [asdict(s) | {"weights": ZOO[s.name].file if s.name in ZOO else None} for s in summaries]
        click.echo(json.dumps(listed, indent=2))
        return

    from rich.table import Table

    from vidpose.cli.console import table_console

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading, side in (("lifter", "left"), ("paper", "left"), ("parameters", "right"), ("MACs/frame", "right"),
                          ("sees", "right"), ("answers", "left"), ("MPJPE", "right"), ("weights", "left")):  # fmt: skip
        table.add_column(heading, justify=side, no_wrap=True)
    for s in summaries:
        table.add_row(
            s.name,
            s.paper.venue,
            f"{s.parameters / 1e6:.2f} M",
            f"{s.macs_per_frame / 1e6:,.1f} M",
            f"{s.receptive_field}",
            {"sequence": "all frames", "centre": "centre frame", "last": "last frame"}[s.predicts],
            f"{s.paper.mpjpe:.1f}" if s.paper.mpjpe else "",
            "yes" if s.name in ZOO else "",
        )
    table_console().print(table)
    click.echo(
        "\nsees: frames of video that decide a frame. MPJPE: millimetres on Human3.6M, protocol 1, reported by the "
        "paper.\nPapers' titles and what their MPJPE was measured with: vidpose models --json"
    )
