"""`vidpose ablate`: a whole table of a paper, trained and tabulated."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from vidpose.cli.terminal import say
from vidpose.common.errors import UsageError


@click.command()
@click.argument("table")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path),
              help="Folder of the training data.  [default: data/DATASET]")  # fmt: skip
@click.option("--held-out", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="For a table of 2D networks: clips to evaluate on. --data has those to train on.")  # fmt: skip
@click.option("--eval-data", type=click.Path(file_okay=False, path_type=Path), default="data/cmu", show_default=True,
              help="The prepared benchmark cmu, for rows that trained on CMU-17 shards.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default="runs", show_default=True,
              help="Folder for the runs; each goes to TABLE/ROW in it.")  # fmt: skip
@click.option("--rows", metavar="A,B", default="", help="Only these rows.  [default: all]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key in the recipe of every row.")
@click.option(
    "--released-code", is_flag=True, help="Where the paper and its released code differ, do as the code does."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True,
              help="How many GPUs (or processes on a CPU) share each batch.")  # fmt: skip
def ablate(
    table: str, data: Path | None, held_out: Path | None, eval_data: Path, out: Path, rows: str,
    settings: tuple[str, ...], released_code: bool, device: str, devices: int,
) -> None:  # fmt: skip
    """Train every row of a paper's table, and print the results beside the paper's.

    TABLE is a name like mixste-table6, or a TOML file. For 2D networks (temporal-relational-table1) --data and
    --held-out are folders of clips. Rows that are trained already are only evaluated. A row that was
    interrupted continues.
    """
    from vidpose.cli.console import table_console
    from vidpose.cli.progress import progress_of, training_bar
    from vidpose.evaluation.tables import print_table
    from vidpose.training.ablation import Work
    from vidpose.training.ablation import ablate as run
    from vidpose.training.keypoint_ablation import ablate_keypoints, keypoint_table_names

    work = Work(settings, released_code, device, devices, training_bar, say,
                lambda label: progress_of(label, unit="clips"))  # fmt: skip
    chosen = [row for row in rows.split(",") if row]
    if held_out is None and table not in keypoint_table_names():
        print_table(run(table, out, rows=chosen, data=data, eval_data=eval_data, work=work), table_console())
        return
    if data is None or held_out is None or released_code:
        raise UsageError(f"{table}: a table of 2D networks; give --data and --held-out, folders of clips, and no "
                         "--released-code")  # fmt: skip
    print_table(ablate_keypoints(table, data, held_out, out, rows=chosen, work=work), table_console())
