"""A manifest that goes on: an export adds to what an earlier one of the same scene left in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from disconerf_ns.errors import UserError
from disconerf_ns.files import sha256_of
from disconerf_ns.scene.edit import Edit
from disconerf_ns.small_json import Value, small_json

REMEDY = "name another folder with --output-dir, or pass --replace to put a new manifest into this one."
DIFFERENT = {
    "source.sha256": "of another checkpoint",
    "source.edit": "under another edit or granularity",
    "source.complete": "with the other choice of --complete",
    "frame.metres_per_unit": "with other --metres-per-unit",
}
"""Entries of the manifest in which exports into one folder have to agree, and what is said of one that does not."""


def source_of(checkpoint: Path, edit: Edit, complete: bool) -> dict[str, Any]:
    """All that says which scene is exported, as JSON holds it.

    Args:
        checkpoint: the run's.
        edit: a person's.
        complete: whether objects are completed where no photograph looked.
    """
    content = {"checkpoint": checkpoint.name, "sha256": sha256_of(checkpoint), "complete": complete}
    return json.loads(json.dumps({**content, "edit": edit.as_json()}))


def earlier_in(
    manifest: Path, source: Mapping[str, Any], frame: Mapping[str, Any], alphas: int | None = None
) -> dict[str, Any]:
    """The manifest of an earlier export of the same scene; empty if there is none.

    Args:
        manifest: its file.
        source: what is exported now, as `source_of` says it.
        frame: the frame in which it is exported now.
        alphas: downscale of the opacities that are written now, which those of other objects have to share; None where
            none are.
    Raises:
        UserError: the file is something else, or of another scene, and would be replaced.
    """
    if not manifest.exists():
        return {}
    with small_json(manifest, "the manifest of an export", REMEDY) as content:
        _check(content)
    earlier = content.content
    if "source" not in earlier:
        raise UserError(f"export: {manifest.parent} holds an export of an earlier version; {REMEDY}")
    both = alphas is not None and "alpha" in earlier.get("downscale", {})
    sizes = {"downscale.alpha": "with alphas of another --downscale"} if both else {}
    now = {"source": source, "frame": frame, "downscale": {"alpha": alphas}}
    refuse_another(manifest.parent, earlier, now, DIFFERENT | sizes)
    return earlier


def refuse_another(
    folder: Path, earlier: Mapping[str, Any], now: Mapping[str, Any], different: Mapping[str, str]
) -> None:
    """Refuse to add to an export of something else.

    Args:
        folder: where both are written.
        earlier, now: groups of entries, of the earlier manifest and of this export.
        different: the entries in which they have to agree, as group.name, and what is said of one that does not.
    Raises:
        UserError: they do not agree.
    """
    for entry, said in different.items():
        group, name = entry.split(".")
        if earlier[group].get(name) != now[group].get(name):
            raise UserError(f"export: {folder} holds an export {said}; {REMEDY}")


def _check(content: Value) -> None:
    """Look that a manifest has what `joined` reads.

    Raises:
        ValueError: it has not.
    """
    for group in ("frame", "files"):
        content[group].object()
    for group in ("source", "downscale"):
        content.get(group, {}).object()
    for name in content.get("labelled", []).list():
        name.text()
    for row in content["left_out"].list():
        row["name"].text()
    for row in content["objects"].list():
        row["name"].text()
        row["missing"].object()
        for _, file in row["files"].items():
            file.text()


def joined(earlier: Mapping[str, Any], added: Mapping[str, Any], folder: Path, order: Sequence[str]) -> dict[str, Any]:
    """The manifest of an export and of an earlier one in the same folder.

    Args:
        earlier: the earlier manifest; empty if there is none.
        added: that of the new export alone.
        folder: where the files are; what is no longer there is left out.
        order: names of all objects of the scene, in their order.
    """
    if not earlier:
        return dict(added)
    before, now = ({row["name"]: row for row in content["objects"]} for content in (earlier, added))
    rows = [_row(before.get(name, {}), now.get(name, {}), folder) for name in order if name in before | now]
    left_out = {row["name"]: row for content in (earlier, added) for row in content["left_out"]}
    return {
        **added,
        "files": earlier["files"] | added["files"],
        "downscale": earlier.get("downscale", {}) | added["downscale"],
        "labelled": added["labelled"] or earlier.get("labelled", []),
        "objects": rows,
        "left_out": [row for name, row in left_out.items() if name not in before | now],
    }


def _row(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """An object's row with the files of both; a mesh that is written anew takes what was beside the old one along."""
    old, new = before.get("files", {}), now.get("files", {})
    kept = {kind: file for kind, file in old.items() if kind.split("_")[0] not in new and (folder / file).exists()}
    files = kept | new
    missing = before.get("missing", {}) | now.get("missing", {})
    return {**before, **now, "files": files, "missing": {kind: missing[kind] for kind in missing if kind not in files}}
