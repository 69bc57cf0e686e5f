"""The papers' printed tables as data, and tables of results in every form."""

import csv
import io
import json
import math
import shutil
import subprocess

import numpy as np
import pytest
from rich.console import Console

from vidpose.body.skeletons import H36M_17
from vidpose.common.errors import UsageError
from vidpose.datasets.protocol import Protocol
from vidpose.datasets.store import StoredClip
from vidpose.evaluation.published import ACTION_HEADINGS, AVERAGE, published, published_tables
from vidpose.evaluation.results import Results
from vidpose.evaluation.tables import (
    Line,
    Table,
    action_table,
    breakdown_table,
    measure_table,
    print_table,
    to_csv,
    to_json,
    to_latex,
    to_markdown,
    write_table,
)

ACTIONS = ("Directions", "WalkDog")
PROTOCOL = Protocol(
    "p_one", "all of 17 joints", excluded=(("S11", "Directions"),), actions=(*ACTIONS, "Walking"), pck_joints=(1, 2)
)


def summary(error: float) -> dict:
    """Every joint but the root off by so many metres, half of it in WalkDog."""
    results = Results(PROTOCOL, H36M_17, "h36m", "cpn")
    target = np.random.default_rng(0).normal(size=(8, 17, 3))
    target -= target[:, :1]
    for action, share in zip(ACTIONS, (1, 0.5), strict=True):
        offset = np.zeros((17, 3))
        offset[1:, 0] = share * error
        clip = StoredClip("part", 0, 8, "test", "S9", action, "a", action, 1000, 1000, 50)
        results.add(clip, target + offset, target, np.ones(8, bool))
    return results.summary()


@pytest.fixture(scope="module")
def table() -> Table:
    reported = [row for row in published("h36m", "mpjpe", "hrnet") if row.own]
    return action_table({"ours_1": summary(0.034)}, "mpjpe", reported)


# What the papers print.


def test_every_table_of_the_papers_is_there():
    tables = {}
    for table in published_tables():
        tables.setdefault(table.paper, []).append(table.number)
    roman = ["I (top)", "I (bottom)", "II", "III", "IV", "V", "VI", "VII"]
    assert tables == {
        "MixSTE, CVPR 2022": ["1 (top)", "1 (middle)", "1 (bottom)", "2", "3", "4", "5", "6", "7"],
        "SSR-STF, arXiv 2024": roman,
        "Hossain and Little, ECCV 2018": ["1", "2", "3", "4", "5"],
        "LSTM+Transformer, ITM Web Conf. 2025": ["2", "3 (left)", "3 (right)"],
        "Multi-perspective relational, arXiv 2024": ["I", "II (top)", "II (bottom)", "III"],
    }


def test_every_line_fills_its_columns():
    for table in published_tables():
        assert len(table.metrics) == len(table.columns)
        for _, values in table.lines:
            assert len(values) == len(table.columns)
    assert sum(len(table.lines) for table in published_tables()) == 250


@pytest.mark.parametrize("columns", [len(ACTION_HEADINGS), 6])
def test_averages_agree_with_their_columns_or_a_note_says_so(columns):
    """Human3.6M's 15 actions, HumanEva's 6 columns: the printed average is within 0.15 of their mean, or noted."""
    checked = 0
    for table in published_tables():
        for row in table.rows:
            if len(row.values) != columns + 1:
                continue
            mean = (sum(row.values.values()) - row.values[AVERAGE]) / columns
            noted = f"the mean of its columns is {mean:.1f}" in row.note
            assert noted == (abs(mean - row.values[AVERAGE]) > 0.15), (row, mean)
            checked += 1
    assert checked == {15: 136, 6: 19}[columns]


def test_actions_have_their_names():
    for metric in ("mpjpe", "p_mpjpe", "mpjve"):
        for row in published("h36m", metric):
            assert set(row.values) <= {*ACTION_HEADINGS, AVERAGE}
    for metric in ("mpjpe", "p_mpjpe"):
        (columns,) = {tuple(row.values) for row in published("humaneva", metric)}
        assert columns == ("Walk S1", "Walk S2", "Walk S3", "Jog S1", "Jog S2", "Jog S3", AVERAGE)


@pytest.mark.parametrize(
    ("dataset", "metric", "input_name", "name", "average"),
    [
        # The figures that the papers' abstracts and texts repeat.
        ("h36m", "mpjpe", "cpn", "MixSTE (CPN, T=243)", 40.9),
        ("h36m", "p_mpjpe", "cpn", "MixSTE (CPN, T=243)", 32.6),
        ("h36m", "mpjve", "cpn", "MixSTE (CPN, T=243)", 2.3),
        ("h36m", "mpjpe", "gt", "MixSTE (T=243)", 21.6),
        ("mpi-inf-3dhp", "mpjpe", "gt", "MixSTE (T=27)", 54.9),
        ("humaneva", "mpjpe", "detected", "MixSTE (T=43, FT)", 16.1),
        ("h36m", "mpjpe", "sh", "SSR-STF (T=243)", 37.4),
        ("h36m", "p_mpjpe", "sh", "SSR-STF (T=243)", 31.7),
        ("h36m", "mpjpe", "gt", "SSR-STF (T=243)", 12.8),
        ("mpi-inf-3dhp", "pck", "gt", "SSR-STF (T=81)", 99.2),
        ("mpi-inf-3dhp", "auc", "gt", "SSR-STF (T=81)", 88.6),
        ("mpi-inf-3dhp", "mpjpe", "gt", "SSR-STF (T=81)", 13.2),
        ("h36m", "mpjpe", "sh", "Hossain and Little (T=5)", 51.9),
        ("h36m", "mpjpe", "gt", "Hossain and Little (GT) (T=5)", 39.2),
        ("humaneva", "p_mpjpe", "detected", "Hossain and Little (T=5)", 22.0),
        ("h36m", "mpjpe", "detected", "Single-Branch LSTM+Transformer (T=81)", 49.51),
        ("mpi-inf-3dhp", "mpjpe", "detected", "Single-Branch LSTM+Transformer (T=81)", 29.34),
        ("h36m", "mpjpe", "temporal-relational", "Multi-perspective relational", 40.3),
        ("h36m", "ap", "image", "Multi-perspective relational (32frames)", 91.4),
    ],
)
def test_the_papers_own_rows(dataset, metric, input_name, name, average):
    (row,) = (row for row in published(dataset, metric, input_name) if row.own and row.name == name)
    assert row.values[AVERAGE] == average


def test_inputs_are_told_apart():
    all_rows = published("h36m", "mpjpe")
    detected, gt = published("h36m", "mpjpe", "detected"), published("h36m", "mpjpe", "gt")
    assert len(detected) + len(gt) == len(all_rows)
    assert {row.input for row in gt} == {"gt"}
    assert {row.input for row in detected} == {"cpn", "hrnet", "sh", "temporal-relational", "detected"}


def test_studies_are_no_comparison():
    assert any(row.name == "w/o residual connections (T=5)" for table in published_tables() for row in table.rows)
    assert not any("w/o" in row.name for row in published("h36m", "mpjpe"))


def test_measures_nobody_reports_are_refused():
    with pytest.raises(UsageError, match=r"^no paper reports 'pck' on 'h36m'; there are .*pck on mpi-inf-3dhp"):
        published("h36m", "pck")


# Tables.


def test_action_table_has_ours_and_the_reported_row(table):
    assert table.title == "MPJPE (mm) on h36m"
    assert table.columns == ("Dir.", "WalkD.", "Avg.")
    ours, mixste = table.lines
    assert ours.values == pytest.approx((32.0, 16.0, 24.0))  # the root is right: 16/17 of 34 mm
    assert (ours.label, ours.reported) == ("ours_1", "")
    assert mixste == Line("MixSTE (HRNet, T=243)", (36.7, 39.3, 39.8), "MixSTE, CVPR 2022, Table 1 (top)")


def test_protocol_exclusions_input_and_frames_stand_under_it(table):
    notes = "\n".join(table.notes)
    assert (
        "ours_1: input cpn; protocol p_one, test set: all of 17 joints; left out: S11 Directions; 16 frames in 2 "
        "clips; average: mean of 2 actions, each the mean of its frames; NO FRAMES of Walking" in notes
    )
    assert "ours_1: mean of all frames 24.0, variance over actions 64.0" in notes
    assert "Reported rows are as the papers print them" in notes
    assert "MixSTE (HRNet, T=243), MixSTE, CVPR 2022, Table 1 (top): the mean of its columns is 39.5" in notes


@pytest.mark.parametrize(("lacking", "said"), [("S9 Waiting", True), ("S11 Directions", False)])
def test_what_the_data_lack_is_said_where_the_protocol_counts_it(lacking: str, said: bool):
    run = summary(0.034) | {"lacking": f"{lacking}, which the detections lack"}
    notes = "\n".join(action_table({"ours_1": run}, "mpjpe").notes)
    assert (f"NOT IN THE DATA: {lacking}, which the detections lack" in notes) == said


def test_measure_table_puts_a_papers_line_together_again():
    metrics = ("pck", "auc", "mpjpe")
    reported = [row for metric in metrics for row in published("mpi-inf-3dhp", metric)]
    table = measure_table({"ours": summary(0.034)}, metrics, reported)
    assert table.columns == ("PCK (%)", "AUC (%)", "MPJPE (mm)")
    lines = {line.label: line.values for line in table.lines}
    assert lines["SSR-STF (T=81)"] == (99.2, 88.6, 13.2)
    assert lines["Mehta et al."] == (79.4, 41.6, None)
    # Of the 31 thresholds, 0 to 30 mm miss 34 mm and 0 to 15 mm miss 17 mm.
    assert lines["ours"] == pytest.approx((100, 100 * (24 + 27) / 2 / 31, 24.0))


def test_breakdown_tables():
    run = summary(0.034)
    joints = breakdown_table("ours", run, "joints")
    assert [line.label for line in joints.lines][:2] == ["pelvis", "right_hip"]
    assert dict(zip(joints.columns, joints.lines[1].values, strict=True))["MPJPE (mm)"] == pytest.approx(25.5)
    actions = breakdown_table("ours", run, "actions")
    assert [line.label for line in actions.lines][-2:] == ["mean of all frames", "variance, in the units squared"]
    assert breakdown_table("ours", run, "subject_actions").lines[0].label == "S9 Directions"
    with pytest.raises(UsageError, match=r"^no table by 'camera'; there are actions, subjects"):
        breakdown_table("ours", run, "camera")


def test_a_measure_that_was_not_taken_is_refused():
    run = summary(0.1)
    del run["units"]["pck"]
    with pytest.raises(UsageError, match=r"^ours: protocol 'p_one' has no 'pck'; it has mpjpe, "):
        measure_table({"ours": run}, ["pck"])


def test_markdown(table):
    lines = to_markdown(table).splitlines()
    assert lines[:6] == [
        "**MPJPE (mm) on h36m**",
        "",
        "| Method | Source | Dir. | WalkD. | Avg. |",
        "| --- | --- | ---: | ---: | ---: |",
        "| ours_1 | here | 32.0 | 16.0 | 24.0 |",
        "| MixSTE (HRNet, T=243) | reported [1] | 36.7 | 39.3 | 39.8 |",
    ]
    assert "- [1] MixSTE, CVPR 2022, Table 1 (top)" in lines


def test_tables_without_reported_rows_have_no_source(table):
    lines = to_markdown(action_table({"a|b": summary(0.034)}, "mpjpe")).splitlines()
    assert lines[2] == "| Method | Dir. | WalkD. | Avg. |"
    assert lines[4] == r"| a\|b | 32.0 | 16.0 | 24.0 |"


def test_csv_is_exact_and_marks_reported_rows(table):
    text = to_csv(table)
    notes = [line for line in text.splitlines() if line.startswith("#")]
    assert len(notes) == 1 + len(table.notes)
    rows = list(csv.DictReader(io.StringIO("".join(line + "\n" for line in text.splitlines() if line[0] != "#"))))
    assert [row["Reported"] for row in rows] == ["", "MixSTE, CVPR 2022, Table 1 (top)"]
    assert float(rows[0]["Dir."]) == table.lines[0].values[0]


def test_json_says_all(table):
    content = json.loads(to_json(table))
    assert content["lines"][1] == {
        "label": "MixSTE (HRNet, T=243)",
        "reported": "MixSTE, CVPR 2022, Table 1 (top)",
        "values": {"Dir.": 36.7, "WalkD.": 39.3, "Avg.": 39.8},
    }
    assert content["notes"] == list(table.notes)


def test_latex_has_booktabs_rules_and_escapes(table):
    lines = to_latex(table).splitlines()
    assert [line for line in lines if line.endswith("rule")] == [r"\toprule", r"\midrule", r"\midrule", r"\bottomrule"]
    assert r"ours\_1 & here & 32.0 & 16.0 & 24.0 \\" in lines
    assert r"\begin{tabular}{llrrr}" in lines
    odd = Table(r"50% & #1 ~ \x", "m²", ("a_b",), (Line("{x}^2", (None,)),), ())
    latex = to_latex(odd)
    assert r"\caption{50\% \& \#1 \textasciitilde{} \textbackslash{}x}" in latex
    assert r"m$^2$ & a\_b \\" in latex
    assert r"\{x\}\textasciicircum{}2 & - \\" in latex


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_compiles(table, tmp_path):
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}" + to_latex(table) + r"\end{document}"
    (tmp_path / "t.tex").write_text(document)
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "t.tex"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stdout.decode()


def test_terminal(table):
    text = io.StringIO()
    print_table(table, Console(file=text, width=200))
    lines = [" ".join(line.split()) for line in text.getvalue().splitlines()]
    assert "ours_1 here 32.0 16.0 24.0" in lines
    assert "MixSTE (HRNet, T=243) reported [1] 36.7 39.3 39.8" in lines
    assert "[1] MixSTE, CVPR 2022, Table 1 (top)" in lines


def test_narrow_terminals_cut_no_figure():
    reported = published("h36m", "mpjpe", "cpn")
    actions = [{"action": action, "mpjpe": 123.4} for action in ACTION_HEADINGS]
    name = "a name that is longer than a label may be before it is wrapped"
    table = action_table({name: summary(0.1) | {"actions": actions}}, "mpjpe", reported)
    text = io.StringIO()
    print_table(table, Console(file=text, width=80))
    shown = text.getvalue()
    assert "…" not in shown
    assert shown.count("123.4") == 15
    assert max(map(len, shown.splitlines())) <= 80
    for row in reported:
        assert shown.count(row.name) > 1  # in every part
        assert all(f"{value:.1f}" in shown for value in row.values.values())


@pytest.mark.parametrize(
    ("suffix", "start"), [(".md", "**MPJPE"), (".csv", "# MPJPE"), (".tex", r"\begin{table}"), (".json", "{")]
)
def test_the_suffix_chooses_the_format(table, tmp_path, suffix, start):
    write_table(table, tmp_path / f"table{suffix}")
    assert (tmp_path / f"table{suffix}").read_text(encoding="utf-8").startswith(start)
    assert len(list(tmp_path.iterdir())) == 1


def test_other_suffixes_are_refused(table, tmp_path):
    with pytest.raises(UsageError, match=r"table\.xlsx: no format for tables has that suffix; there are \.md, "):
        write_table(table, tmp_path / "table.xlsx")
    assert not list(tmp_path.iterdir())


def test_gaps_are_no_numbers():
    assert not any(
        math.isnan(value) for table in published_tables() for row in table.rows for value in row.values.values()
    )
