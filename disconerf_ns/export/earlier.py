"""An export says which files an earlier one left in its folder, because a person may take them for its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def tell_earlier(folder: Path, patterns: Sequence[str], manifest: str, named: Iterable[str]) -> None:
    """Say which files of objects a manifest does not name, if there are some.

    Args:
        folder: folder of the export.
        patterns: which files are of objects, such as `*/object_*`.
        manifest: name of the manifest.
        named: the files that it names, relative to the folder.
    """
    found = {path for pattern in patterns for path in folder.glob(pattern)} - {folder / file for file in named}
    if found:
        first, *others = sorted(path.relative_to(folder).as_posix() for path in found)
        more = f" and {len(others)} more" if others else ""
        print(
            f"export: {folder} also holds {first}{more} of an earlier export, which {manifest} does not name; delete "
            "what you do not need, or name a new folder with --output-dir."
        )
