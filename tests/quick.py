"""What makes tests quick: coarse objects, and runs that are loaded already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from tiny_run import ITERATIONS

if TYPE_CHECKING:
    from disconerf_ns.pipeline import DiscoNerfPipeline

COARSE = {
    "facts.views.RAYS": 7_000,
    "filming.trial.SIZE": 24,
    "pipeline.SPACE_RAYS": 7_000,
    "scene.bodies.SOLID_RESOLUTION": 32,
    "scene.clean.RESOLUTION": 32,
}
"""Rays of all training views that tell who sees what and which space is seen, pixels of a trial picture's side, and
voxels per axis of an object, which are found in an eighth of the time."""


def look_coarsely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for objects with fewer rays, in fewer voxels, and in trial pictures of fewer pixels."""
    for name, count in COARSE.items():
        monkeypatch.setattr(f"disconerf_ns.{name}", count)


@contextmanager
def taken_as_loaded(config: Path, pipeline: DiscoNerfPipeline) -> Iterator[None]:
    """Commands on a run take a pipeline of it, under the edit that lies beside it; its scene is put back afterwards."""
    from disconerf_ns import runs
    from disconerf_ns.scene.edit import Edit

    model, load = pipeline.model, runs.open_run
    before = model.current.value
    trained = before.with_edit(Edit())

    def open_run(wanted: Path, test_mode: Literal["test", "val", "inference"]):
        if wanted != config:
            return load(wanted, test_mode)
        edit = runs.edit_of(config, model.tree)
        model.current.replace(lambda _: trained.with_edit(edit))
        return runs.config_of(config), pipeline, ITERATIONS - 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "open_run", open_run)
        try:
            yield
        finally:
            model.current.replace(lambda _: before)
