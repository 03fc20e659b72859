"""Rows that several machines, states of the program and variants add to files, and the pages that show them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"
"""Marks of a page around the lines that a program writes."""


def commit() -> str:
    """git's short name of the state that is measured, with a + where files differ from it; "" outside of git."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def merged(path: Path, row: dict, key: tuple[str, ...]) -> list[dict]:
    """A file's rows and another one, which replaces the row with the same entries under `key`."""
    rows = json.loads(path.read_text()) if path.exists() else []
    return [old for old in rows if any(old[name] != row[name] for name in key)] + [row]


def write_tables(page: Path, lines: Iterable[str]) -> None:
    """Replace the lines between a page's marks."""
    before, rest = page.read_text().split(BEGIN)
    page.write_text("\n".join([before + BEGIN, "", *lines]) + END + rest.split(END)[1])
