"""The keys of a JSON document, and those that docs/manifest.md explains."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "manifest.md"
WHOLE = {"source.edit", "objects[].recolor", "objects[].missing"}
"""Entries that the page explains as a whole."""


def keys_of(content: dict[str, Any], place: str = "") -> Iterator[str]:
    """The keys of a document, such as `objects[].box.size`; a similarity is explained once, and has none."""
    for name, value in content.items():
        yield (key := f"{place}{name}")
        if key in WHOLE:
            continue
        inner, below = (value, f"{key}[].") if isinstance(value, list) else ([value], f"{key}.")
        for each in inner:
            if isinstance(each, dict) and set(each) != {"scale", "rotation", "translation"}:
                yield from keys_of(each, below)


def section(title: str) -> str:
    """The text of a section of the page."""
    (found,) = [part for part in PAGE.read_text().split("\n## ") if part.startswith(f"`{title}`\n")]
    return found


def explained(title: str) -> list[str]:
    """The keys in the table of a section of the page."""
    return re.findall(r"^\| `([^`]+)` \|", section(title), re.MULTILINE)
