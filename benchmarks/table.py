"""Files of figures to which several machines, states of the program and variants add rows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path


def commit() -> str:
    """git's short name of the state that is measured, with a + where files differ from it; "" outside of git."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def merged(path: Path, row: dict, key: tuple[str, ...]) -> list[dict]:
    """A file's rows and another one, which replaces the row with the same entries under `key`."""
    rows = json.loads(path.read_text()) if path.exists() else []
    return [old for old in rows if any(old[name] != row[name] for name in key)] + [row]
