"""See that pyproject.toml admits this Python, and say plainly when it does not. Runs on any Python from 3.6 on."""

import re
import sys
from pathlib import Path

text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
lowest = re.search(r'^requires-python = ".*>=3\.(\d+)', text, re.MULTILINE)
beyond = re.search(r'^requires-python = ".*<3\.(\d+)', text, re.MULTILINE)
first, last = int(lowest.group(1)), int(beyond.group(1)) - 1 if beyond else 99
if not (sys.version_info[0] == 3 and first <= sys.version_info[1] <= last):
    wanted = "Python 3.{}{}".format(first, f" to 3.{last}" if beyond else " or newer")
    have = "{}.{}".format(*sys.version_info[:2])
    sys.exit(f"vidpose wants {wanted}, and this is {have}; name another one: make PYTHON=python3.{first}")
