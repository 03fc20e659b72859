"""What a training writes beside its checkpoints: its objects, and what became of its masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nerfstudio.utils.rich_utils import CONSOLE

from disconerf_ns.discovery.explanation import Explanation
from disconerf_ns.discovery.report import report_masks, save_report
from disconerf_ns.errors import cause
from disconerf_ns.scene.objects import SceneObject, save_manifest
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.tree import ObjectTree


def write_objects(
    folder: Path, objects: Sequence[SceneObject], tree: ObjectTree, step: int, to_capture: Similarity
) -> None:
    """Write objects.json: every object as it is after a step."""
    with by_product(folder / "objects.json") as path:
        save_manifest(objects, tree, step, path, to_capture)


def write_explained(
    folder: Path, keys: Sequence[str], explanations: Sequence[Explanation], objects: Sequence[SceneObject]
) -> None:
    """Write masks.json: which masks of the views, which are named by keys, some objects explain."""
    report = report_masks(keys, explanations, objects)
    with by_product(folder / "masks.json") as path:
        save_report(report, path)


@contextmanager
def by_product(path: Path) -> Iterator[Path]:
    """Go on without a file that can be made from the checkpoint again, where it cannot be written."""
    try:
        yield path
    except OSError as error:
        CONSOLE.log(f"objects: {path} is not written ({cause(error)}); the training goes on without it.")
