"""`vidpose eval-keypoints`: 2D keypoint networks' figures on annotated pictures, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vidpose.errors import UsageError
from vidpose.files import check_free, replacing

if TYPE_CHECKING:
    from vidpose.keypoint_data.coco import Person


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--keypoints", "names", multiple=True, required=True, metavar="NAME[=FILE]",
              help="As of `vidpose infer`, with its weights. Several stand in one table.")  # fmt: skip
@click.option("--detector", metavar="NAME", help="Finds the people.  [default: their boxes are given]")
@click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of the pictures.  [default: that of their annotations]")  # fmt: skip
@click.option("--every", default=1, show_default=True, type=click.IntRange(min=1), help="Every so manieth picture.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures to it.")
@click.option("--overwrite", is_flag=True, help="Replace what is there already.")
def eval_keypoints(
    data: Path, names: tuple[str, ...], detector: str | None, images: Path | None, every: int, device: str,
    json_file: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Evaluate 2D keypoint networks on DATA: a COCO keypoint file, or a folder of clips that `vidpose synth` rendered.

    AP and AR are COCO's, over the joints that the annotations and all the networks have.
    """
    import json
    from contextlib import ExitStack

    from vidpose.cli.console import table_console
    from vidpose.cli.progress import progress_of
    from vidpose.devices import choose_device
    from vidpose.evaluation.pictures import common_joints, figures, find_annotated, keypoint_table
    from vidpose.evaluation.tables import print_table
    from vidpose.keypoint_data.coco import read_people
    from vidpose.networks import open_networks

    if json_file and not overwrite:
        check_free([json_file])
    chosen = choose_device(device)
    with ExitStack() as stack:
        networks = {}
        for name in names:
            network, _, file = name.partition("=")
            if name in networks:
                raise UsageError(f"--keypoints {name}: given twice")
            weights = Path(file) if file else None
            networks[name] = stack.enter_context(
                open_networks(detector or "blazepose", network, keypoints_weights=weights, device=chosen)
            )
        layout = common_joints(
            [opened.keypoints.layout for opened in networks.values()], lambda some: read_people(data, some, images)
        )
        people = _every(read_people(data, layout, images), every)
        rows: dict[str, Any] = {}
        for name, opened in networks.items():
            with progress_of(name, "people") as report:
                found = find_annotated(people, layout, opened.keypoints, opened.detector if detector else None, report)
            rows[name] = dict(figures(people, layout, found))
    where = f"found by {detector}" if detector else "boxes given"
    note = f"{len(people):,} people, {where}; {len(layout)} joints: {', '.join(layout.joints)}"
    print_table(keypoint_table(str(data), rows, (note,)), table_console())
    if json_file:
        facts = {"data": str(data), "people": len(people), "joints": layout.joints, "detector": detector}
        with replacing(json_file) as partial:
            partial.write_text(json.dumps(facts | {"every": every, "networks": rows}, indent=2))


def _every(people: Sequence[Person], every: int) -> list[Person]:
    """People of every so manieth picture, picture by picture."""
    pictures = list(dict.fromkeys(person.picture for person in people))[::every]
    place = {picture: number for number, picture in enumerate(pictures)}
    return sorted((person for person in people if person.picture in place), key=lambda person: place[person.picture])
