"""For the documentation site: `start, end: seconds` in a docstring describes two things at once, and the parser of
docstrings wants one a line.
"""

import re
from typing import Any

import griffe

_SHARED = re.compile(r"^( {4,})((?:\*{0,2}\w+, )+\*{0,2}\w+): (.+(?:\n\1 +.+)*)", re.MULTILINE)


class OneNameALine(griffe.Extension):
    """Repeats what several names share, once for each."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = _SHARED.sub(_one_by_one, obj.docstring.value)


def _one_by_one(found: re.Match[str]) -> str:
    indent, names, text = found.groups()
    return "\n".join(f"{indent}{name}: {text}" for name in names.split(", "))
