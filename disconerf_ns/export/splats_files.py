"""A folder of splats: one PLY file per object and one for the rest, a table of labels, and a manifest."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from disconerf_ns.errors import UserError
from disconerf_ns.export.joined import DIFFERENT, REMEDY, refuse_another
from disconerf_ns.export.splats_apart import OwnedSplats
from disconerf_ns.export.splats_ply import write_ply
from disconerf_ns.files import write_whole
from disconerf_ns.scene.objects import REST, SceneObject
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.small_json import small_json

LABELS, MANIFEST, VERSION = "labels.npz", "splats.json", 2


@dataclass(frozen=True)
class Written:
    """A file of gaussians that was written."""

    name: str
    file: Path
    gaussians: int


def earlier_objects(folder: Path, now: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Names of the objects of which an earlier export of the same gaussians has files in a folder.

    Args:
        folder: the folder.
        now: `source` and `options` of the manifest that is written now.
    Raises:
        UserError: the folder holds an export of other gaussians, or a manifest that cannot be read.
    """
    file = folder / MANIFEST
    if not file.exists():
        return set()
    with small_json(file, "the manifest of an export of splats", REMEDY) as content:
        if content["version"].whole() != VERSION:
            raise UserError(f"export: {folder} holds an export of another version; {REMEDY}")
        names = {row["name"].text(): row["file"].text() for row in content["objects"].list()}
        earlier = {group: content[group].object().content for group in ("source", "options")}
    of_source = {entry: said for entry, said in DIFFERENT.items() if entry.startswith("source.")}
    of_options = {f"options.{name}": f"with another --{name.replace('_', '-')}" for name in now["options"]}
    refuse_another(folder, earlier, now, {"source.splats_sha256": "of other gaussians"} | of_source | of_options)
    return {name for name, file in names.items() if (folder / file).is_file()}


def write_splats(
    folder: Path, owned: OwnedSplats, objects: Sequence[SceneObject], to_capture: Similarity, facts: dict[str, Any]
) -> list[Written]:
    """Write the gaussians of each object, and all others, if there are any, as `rest.ply`.

    `labels.npz` has a row for each gaussian: `object`, the id of its object in the manifest, or -1; `share`, how much
    of it is that object's; `source`, its row in what was given. The gaussians of a file are in the order of the table.

    Args:
        folder: where; files in it that are called the same are replaced.
        owned: the gaussians, in the coordinates in which they are written.
        objects: the objects that get a file; the rest is not among them.
        to_capture: takes these coordinates to the capture's.
        facts: further entries of the manifest.
    """
    others = ~torch.isin(owned.id, torch.tensor([each.id for each in objects], dtype=torch.long))
    parts = [(each.name, folder / f"{each.file_name}.ply", owned.of(each.id)) for each in objects]
    if others.any():
        parts.append((REST, folder / f"{REST}.ply", owned.splats.selected(others)))
    for _, path, splats in parts:
        write_ply(path, splats)
    table = io.BytesIO()
    np.savez_compressed(
        table, object=owned.id.numpy().astype(np.int32), share=owned.share.numpy(), source=owned.source.numpy()
    )
    write_whole(folder / LABELS, table.getvalue())
    ids = {each.name: each for each in objects}
    rows = [
        {
            "name": name,
            "title": ids[name].title if name in ids else "",
            "id": ids[name].id if name in ids else None,
            "number": ids[name].number if name in ids else None,
            "file": path.name,
            "gaussians": len(splats),
        }
        for name, path, splats in parts
    ]
    content = {"version": VERSION, **facts, "to_capture": to_capture.as_json(), "labels": LABELS, "objects": rows}
    write_whole(folder / MANIFEST, json.dumps(content, indent=2))
    return [Written(name, path, len(splats)) for name, path, splats in parts]
