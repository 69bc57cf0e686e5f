"""Results for other programs: one file a format."""

from vidpose.export.csv import write_csv
from vidpose.export.json import write_json

__all__ = ["write_csv", "write_json"]
