"""Which tests take how long, as `make test-durations` measured it: what `make test` and `make test-quick` leave out.

`slow`: a fifth of a second or more; `long`: two seconds or more. A test that was never measured is neither.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

SLOW, LONG = 0.2, 2.0

_FILE = Path(__file__).parent / "data" / "durations.json"

_ALWAYS = frozenset({"tests/test_campaign.py::test_nothing_damaged_ends_in_a_traceback_or_never"})
"""Long, and yet in `make test`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-durations", action="store_true", help="measure the tests, and write down which are slow")


def pytest_configure(config: pytest.Config) -> None:
    # Only the process that hears of all tests; those that run some of them have `workerinput`.
    if config.getoption("--write-durations") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Measured())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    measured = json.loads(_FILE.read_text(encoding="utf-8"))
    for item in items:
        seconds = measured.get(item.nodeid, 0.0)
        if seconds >= SLOW:
            item.add_marker("slow")
        if seconds >= LONG and item.nodeid not in _ALWAYS:
            item.add_marker("long")


class _Measured:
    """Seconds of every test, its fixtures included."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        slow = {name: round(seconds, 2) for name, seconds in sorted(self.seconds.items()) if seconds >= SLOW}
        _FILE.write_text(json.dumps(slow, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
