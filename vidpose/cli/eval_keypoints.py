"""`vidpose eval-keypoints`: 2D keypoint networks' figures on annotated pictures, in one table."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from vidpose.common.errors import UsageError
from vidpose.common.files import check_outputs, write_json


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--keypoints", "names", multiple=True, required=True, metavar="NAME[=FILE[,FILE...]]",
              help="A network, named as for `vidpose infer`, with its weights. Give it again for more rows. Several "
                   "files of one network share a row, which shows their mean and deviation.")  # fmt: skip
@click.option(
    "--detector", metavar="NAME", help="Find the people with this network.  [default: use the boxes of the annotations]"
)
@click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of the pictures.  [default: that of the annotations]")  # fmt: skip
@click.option("--views", multiple=True, type=click.IntRange(min=1), metavar="N",
              help="How many cameras of a clip a network may see together. Give it again for another row over the same "
                   "pictures.  [default: as many as it can]")  # fmt: skip
@click.option("--every", default=1, show_default=True, type=click.IntRange(min=1), metavar="N",
              help="Use every Nth picture, or every Nth clip.")  # fmt: skip
@click.option("--reported", type=click.Choice(["I", "III"]), metavar="I|III",
              help="Also show what the temporal-relational paper reports in this table, on Human3.6M.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures to this file."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def eval_keypoints(
    data: Path, names: tuple[str, ...], detector: str | None, images: Path | None, views: tuple[int, ...], every: int,
    reported: str | None, device: str, json_file: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Evaluate 2D keypoint networks on annotated pictures.

    DATA is a COCO keypoint file, or a folder of clips from `vidpose synth`. AP and AR are COCO's, over the joints that
    the annotations and all the networks have. In the table, F is how many frames a network sees together, and V how
    many cameras.
    """
    from contextlib import ExitStack

    from vidpose.cli.console import table_console
    from vidpose.cli.progress import progress_of
    from vidpose.common.devices import choose_device
    from vidpose.evaluation.keypoints.annotated_pictures import keypoint_table, over_files, reported_rows
    from vidpose.evaluation.keypoints.comparing import Compared, open_compared, read_annotated
    from vidpose.evaluation.tables import print_table

    read = [data, *(Path(file) for text in names for file in text.partition("=")[2].split(",") if file)]
    check_outputs([json_file] if json_file else [], overwrite, inputs=read)
    chosen = choose_device(device)
    with ExitStack() as stack:
        groups: dict[str, list[Compared]] = {}
        for text in names:
            if text in groups:
                raise UsageError(f"--keypoints {text}: given twice")
            name, _, files = text.partition("=")
            weights = [Path(file) if file else None for file in files.split(",")]
            groups[text] = open_compared(name, weights, detector, chosen, stack)
        if views and not any(group[0].views for group in groups.values()):
            raise UsageError("--views: none of the networks sees clips; leave it out")
        annotated = read_annotated(data, [network for group in groups.values() for network in group], images, every)
        rows = {}
        for text, group in groups.items():
            numbers = group[0].views_together(views or (annotated.cameras,), annotated.cameras)
            for together in numbers:
                label = f"{text} V={together}" if len(numbers) > 1 else text
                figures = []
                for network in group:
                    with progress_of(label, "people") as report:
                        figures.append(network.figures(annotated, together, report))
                rows[label] = over_files(figures)
    where = f"found by {detector}" if detector else "boxes given"
    joints = annotated.layout.joints
    notes = [f"{len(annotated.people):,} people, {where}; {len(joints)} joints: {', '.join(joints)}"]
    if not any("ap" in row for row in rows.values()):
        notes.append("no AP and AR, which need pycocotools: pip install pycocotools")
    shown = rows | (reported_rows(reported) if reported else {})
    print_table(keypoint_table(str(data), shown, tuple(notes)), table_console())
    if json_file:
        facts = {"data": str(data), "people": len(annotated.people), "joints": joints, "detector": detector}
        write_json(json_file, facts | {"every": every, "networks": rows})
