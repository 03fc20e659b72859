"""A folder of splats: one PLY file per object and one for the rest, a table of labels, and a manifest."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from disconerf_ns.export.splats_apart import OwnedSplats
from disconerf_ns.export.splats_ply import write_ply
from disconerf_ns.files import write_whole
from disconerf_ns.scene.objects import REST, SceneObject
from disconerf_ns.scene.similarity import Similarity

LABELS, MANIFEST = "labels.npz", "splats.json"


@dataclass(frozen=True)
class Written:
    """A file of gaussians that was written."""

    name: str
    file: Path
    gaussians: int


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
    content = {"version": 1, **facts, "to_capture": to_capture.as_json(), "labels": LABELS, "objects": rows}
    write_whole(folder / MANIFEST, json.dumps(content, indent=2))
    return [Written(name, path, len(splats)) for name, path, splats in parts]
