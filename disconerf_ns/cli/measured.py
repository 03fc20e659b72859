"""The objects of a run with what was measured of them, which takes the networks once and a small file afterwards."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from disconerf_ns.consoles import progress
from disconerf_ns.runs import EditedRun, edit_of, manifest_of, objects_of
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import ObjectId, SceneObject, load_manifest

if TYPE_CHECKING:
    from disconerf_ns.facts.kept import KeptMeasurements
    from disconerf_ns.facts.measure import Measured
    from disconerf_ns.pipeline import DiscoNerfPipeline
    from disconerf_ns.scene.arranged import ArrangedScene


class MeasuredObjects(NamedTuple):
    """The objects that an edit shows, and what was measured of them."""

    edit: Edit
    objects: tuple[SceneObject, ...]
    measured: Mapping[ObjectId, Measured]
    """Empty before the run's first checkpoint."""


def measured_objects(config: Path, granularity: float | None = None) -> MeasuredObjects:
    """The objects of a run as edited, measured now if they were not before; progress is written to stderr.

    Args:
        config: config.yml of the run.
        granularity: how fine objects are, in [0, 1]; None for what the edit says.
    Raises:
        UserError: the run has no objects, or its files cannot be read.
    """
    tree, kept = load_manifest(manifest_of(config)).tree, kept_of(config)
    edit = edit_of(config, tree, granularity)
    if kept is None:
        return MeasuredObjects(edit, objects_of(config, granularity), {})
    if (measured := kept.find(edit, tree)) is not None:
        return MeasuredObjects(edit, objects_of(config, granularity), measured)
    with redirect_stdout(sys.stderr):
        run = EditedRun(config, granularity).pipeline
    scene = run.model.current.value
    return MeasuredObjects(edit, scene.objects, measure_and_keep(run, scene, kept))


def kept_of(config: Path) -> KeptMeasurements | None:
    """The measurements of a run that belong to its newest whole checkpoint; None before the first is saved.

    Raises:
        UserError: all checkpoints are broken.
    """
    from disconerf_ns.facts.kept import KeptMeasurements
    from disconerf_ns.training.checkpoint_files import checkpoints_in, checkpoints_of, newest_whole

    folder = checkpoints_of(config)
    if not checkpoints_in(folder):
        return None
    with redirect_stdout(sys.stderr):
        return KeptMeasurements(config, newest_whole(folder, "--load-config"))


def measure_and_keep(
    run: DiscoNerfPipeline, scene: ArrangedScene, kept: KeptMeasurements | None
) -> Mapping[ObjectId, Measured]:
    """Measure the objects of a loaded run's scene, and keep the result; earlier results are taken as they are."""
    from disconerf_ns.facts.measure import measure, steps

    tree = scene.trained.tree
    if kept is not None and (measured := kept.find(scene.edit, tree)) is not None:
        return measured
    with progress("measuring objects and photographs", steps(run, scene)) as advance:
        measured = measure(run, scene, advance)
    if kept is not None:
        try:
            kept.add(scene.edit, tree, measured)
        except OSError as error:
            print(f"objects: {kept.path} cannot be written ({error.strerror}); it is measured anew next time.")
    return measured
