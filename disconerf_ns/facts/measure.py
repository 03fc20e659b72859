"""Facts of each object: volume, box, photographs that show it, neighbours; in scene coordinates.

Objects are measured as they are exported: completed where no photograph looked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from disconerf_ns.evaluation.views import EvaluatedRun, dataset_of
from disconerf_ns.facts.neighbours import Neighbour, neighbours_of
from disconerf_ns.facts.views import Sight, rays_of_each, sights_in, training_frames
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.scene.solid import Solid, UprightBox
from disconerf_ns.small_json import Value

FAR = 5.0
"""Distance, as a multiple of the farthest camera's, from which on no photograph tells how far away something is."""
BEST_VIEWS = 8
"""Photographs that are kept for an object, at most."""


@dataclass(frozen=True)
class Extent:
    """How much space an object takes up."""

    volume: float
    """Volume of its solid voxels in cubic scene units."""
    centre: tuple[float, float, float]
    """Their centre of mass."""
    box: UprightBox


@dataclass(frozen=True)
class Measured:
    """What was measured of an object."""

    extent: Extent | None
    """None where nothing is solid, and for what reaches far beyond the cameras, such as the background."""
    pixels: float
    """Fraction of all pixels of the training views that show it, in [0, 1]."""
    views: int
    """Number of training views that show it."""
    best_views: tuple[Sight, ...]
    """Photographs that show it, the best first."""
    neighbours: tuple[Neighbour, ...]
    """Objects beside it, the nearest first."""

    def as_json(self) -> dict[str, Any]:
        """Content of a JSON object, in scene coordinates."""
        extent = self.extent and {**vars(self.extent), "box": vars(self.extent.box)}
        sights, beside = map(vars, self.best_views), map(vars, self.neighbours)
        return {**vars(self), "extent": extent, "best_views": list(sights), "neighbours": list(beside)}

    @classmethod
    def of_json(cls, content: Value) -> Measured:
        """Read `as_json`.

        Raises:
            ValueError: it is something else.
        """
        extent = None if content["extent"].content is None else _extent(content["extent"])
        sights = tuple(
            Sight(each["view"].text(), each["pixels"].number(), each["visible"].number(), each["whole"].flag())
            for each in content["best_views"].list(most=BEST_VIEWS)
        )
        beside = tuple(
            Neighbour(ObjectId(each["id"].whole()), each["gap"].number()) for each in content["neighbours"].list()
        )
        return cls(extent, content["pixels"].number(), content["views"].whole(), sights, beside)


def _extent(content: Value) -> Extent:
    box = content["box"]
    upright = UprightBox(box["centre"].vector(), box["size"].vector(), box["yaw"].number())
    return Extent(content["volume"].number(), content["centre"].vector(), upright)


def measure(
    run: EvaluatedRun, scene: ArrangedScene, advance: Callable[[], None] = lambda: None
) -> dict[ObjectId, Measured]:
    """Measure the objects of a scene.

    Args:
        run: the loaded run.
        scene: its scene, under a person's edit.
        advance: called once for each object and each training view.
    """
    solids = {}
    for each in scene.objects:
        solids[each.id] = scene.bodies.whole(each.id)
        advance()
    cameras = dataset_of(run, "train").cameras
    sights: list[dict[ObjectId, Sight]] = []
    for name, frame in training_frames(run, scene, rays_of_each(len(cameras))):
        sights.append(sights_in(frame, name, solids))
        advance()
    far = FAR * float(cameras.camera_to_worlds[:, :3, 3].abs().max())
    beside = neighbours_of(solids)
    measured = {}
    for id, solid in solids.items():
        own = sorted(chain(*([view[id]] if id in view else [] for view in sights)), key=lambda sight: -sight.score)
        pixels = sum(sight.pixels for sight in own) / len(sights)
        measured[id] = Measured(extent_of(solid, far), pixels, len(own), tuple(own[:BEST_VIEWS]), beside[id])
    return measured


def extent_of(solid: Solid, far: float) -> Extent | None:
    """The space of solid voxels; None if there are none, or some are farther from the middle than anything measured.

    Args:
        far: largest coordinate that is measured, in scene units.
    """
    box = solid.box
    if box is None or float(solid.points.abs().max()) > far:
        return None
    return Extent(solid.volume, solid.centre, box)


def steps(run: EvaluatedRun, scene: ArrangedScene) -> int:
    """How often `measure` calls `advance`."""
    return len(scene.objects) + len(dataset_of(run, "train"))
