"""What the page tells: pictures, meshes and facts, collected object by object, before any of it is HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from scipy import ndimage

from disconerf_ns.errors import UserError, reason
from disconerf_ns.evaluation.predictions import as_trained
from disconerf_ns.evaluation.views import EvaluatedRun, dataset_of
from disconerf_ns.facts.changes import changes
from disconerf_ns.facts.crops import box_around
from disconerf_ns.facts.measure import Measured
from disconerf_ns.facts.views import photographs, training_frame
from disconerf_ns.masks.images import read_image
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import frame_outputs
from disconerf_ns.report.meshes import Mesh, exported_mesh, solid_mesh
from disconerf_ns.report.pictures import moving, still
from disconerf_ns.report.turntable import turntable
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.similarity import Similarity

SHOWN_VIEWS = 4
"""Photographs on a card, at most."""
PHOTO = 200
"""Pixels of the longer side of a photograph on a card."""
LOOKED_UP = 12_000
"""Rays, about, of a view in which an object is looked for in its photograph."""
SECONDS = 4.0
"""Length of a turn."""


class Options(NamedTuple):
    """How large the page's pictures are."""

    frames: int
    """Frames of a turntable."""
    size: int
    """Side of its frames in pixels."""
    scene_size: int
    """Longer side of the scene's picture in pixels."""


class Spot(NamedTuple):
    """Where the scene's picture shows an object."""

    each: SceneObject
    at: tuple[float, float]
    """(x, y) as fractions of the picture's width and height."""


class Overview(NamedTuple):
    """The scene as one photograph's camera sees it."""

    photograph: str
    scene: str
    """Data URI of the picture, as of the next one."""
    objects: str
    width: int
    height: int
    spots: tuple[Spot, ...]
    edited: bool = False
    """Whether a person's edit changed what the pictures show."""


class Photo(NamedTuple):
    """A cut-out of a photograph that shows an object well."""

    name: str
    picture: str


@dataclass(frozen=True)
class Card:
    """One object."""

    each: SceneObject
    measured: Measured
    """What was measured where it was photographed; beside it is what still is."""
    thumbnail: str
    film: str | None = None
    """None for what has no extent, such as the background: its picture is the thumbnail."""
    mesh: Mesh | None = None
    files: tuple[Path, ...] = ()
    photos: tuple[Photo, ...] = ()
    remark: str = ""
    """What the film cannot show, without a full stop."""
    changes: tuple[str, ...] = ()
    """What a person changed of it, in words."""
    scale: float = 1.0
    """How large it stands in the edited scene, as a multiple of what was measured."""


def overview(run: EvaluatedRun, scene: ArrangedScene, measured: Mapping[ObjectId, Measured], size: int) -> Overview:
    """The edited scene from the training view that shows most objects well, from the pose that the optimizer found.

    Args:
        run: the loaded run.
        scene: its scene, under a person's edit.
        measured: what was measured of its objects.
        size: longer side of the pictures in pixels.
    """
    names = photographs(run)
    there = [each for each in scene.objects if each.id not in scene.edit.hidden]
    wanted = [sight.view for each in there for sight in measured[each.id].best_views]
    index = max(range(len(names)), key=lambda index: wanted.count(names[index]))
    frame = training_view(run, scene, index, size)
    shape = frame.shape[0], frame.shape[1]
    outputs = frame_outputs(frame)
    ids = frame.image(frame.seen_ids())[..., 0].cpu().numpy()
    spots = tuple(
        Spot(each, middle(ids == each.id))
        for each in there
        if measured[each.id].extent is not None and (ids == each.id).mean() > 1e-3
    )
    as_it_is, in_colors = (still(outputs[name].cpu().numpy()) for name in ("edited", "edited_overlay"))
    return Overview(names[index], as_it_is, in_colors, shape[1], shape[0], spots, scene.repaints)


def training_view(run: EvaluatedRun, scene: ArrangedScene, index: int, size: int) -> Frame:
    """A training view whose longer side has so many pixels, from the pose that the camera optimizer found."""
    camera = resized(dataset_of(run, "train").cameras[index : index + 1], size).to(run.device)
    rays = camera.generate_rays(0, keep_shape=True)
    return Frame(scene, as_trained(run, rays.flatten(), index), (rays.origins.shape[0], rays.origins.shape[1]))


def middle(mask: np.ndarray) -> tuple[float, float]:
    """The pixel of a mask that is deepest inside it, as fractions (x, y) of width and height."""
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)))
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return (float(x) - 0.5) / mask.shape[1], (float(y) - 0.5) / mask.shape[0]


def resized(camera: Cameras, size: int) -> Cameras:
    """A camera whose picture's longer side has so many pixels, about."""
    scaled = deepcopy(camera)
    scaled.rescale_output_resolution(size / max(int(camera.height), int(camera.width)))
    return scaled


def cards(
    run: EvaluatedRun,
    scene: ArrangedScene,
    measured: Mapping[ObjectId, Measured],
    files: Mapping[ObjectId, Sequence[Path]],
    to_scene: Similarity,
    options: Options,
    advance: Callable[[], None],
) -> list[Card]:
    """The cards of all objects, the largest first, the rest last; one that cannot be pictured says why.

    Args:
        run: the loaded run.
        scene: its scene, under a person's edit.
        measured: what was measured of its objects.
        files: files of an export, by object.
        to_scene: the frame of the capture to the scene's.
        options: sizes of the pictures.
        advance: called after each object.
    """
    order = sorted(scene.objects, key=lambda each: (each.number is None, -each.share))
    shown = photos(run, scene, {each.id: measured[each.id] for each in order})
    made = []
    for each in order:
        known, own = _beside_now(measured[each.id], each.id, scene.edit), tuple(files.get(each.id, ()))
        try:
            mesh = _mesh(run, scene, each, known, own, to_scene)
            card = replace(_pictured(run, scene, each, known, options), mesh=mesh)
        except UserError:
            raise
        except Exception as error:  # whatever a library makes of one object, the others are on the page
            nothing = still(np.zeros((options.size, options.size, 4)))
            card = Card(each, known, nothing, remark=f"it could not be pictured: {reason(error)}")
        said, scale = changes(scene.edit, each.id), scene.edit.standing_of(each.id)[0].scale
        made.append(replace(card, files=own, photos=shown[each.id], changes=said, scale=scale))
        advance()
    return made


def _beside_now(known: Measured, id: ObjectId, edit: Edit) -> Measured:
    """What was measured of an object, beside what is left there with it where both were photographed."""
    left = () if id in edit.absent else tuple(each for each in known.neighbours if each.id not in edit.absent)
    return replace(known, neighbours=left)


def _mesh(
    run: EvaluatedRun,
    scene: ArrangedScene,
    each: SceneObject,
    known: Measured,
    own: Sequence[Path],
    to_scene: Similarity,
) -> Mesh | None:
    """The exported mesh, or without one the mesh of the solid voxels, turned as the object stands; None for an object
    without an extent."""
    mesh = exported_mesh(own, to_scene)
    if mesh is None and known.extent is not None:
        mesh = solid_mesh(scene, each, dataset_of(run, "train").cameras.camera_to_worlds[..., 3])
        mesh = mesh and mesh.moved(scene.edit.standing_of(each.id)[0])
    return mesh and mesh.simplified()


def _pictured(run: EvaluatedRun, scene: ArrangedScene, each: SceneObject, known: Measured, options: Options) -> Card:
    """A card with its pictures: a turntable, or for what has no extent the part of a photograph that shows it."""
    cameras = dataset_of(run, "train").cameras
    if known.extent is not None:
        frames, remark = turntable(scene, each, cameras, options.frames, options.size)
        return Card(each, known, still(frames[0]), moving(frames, options.frames / SECONDS), remark=remark)
    names = photographs(run)
    index = names.index(known.best_views[0].view) if known.best_views else 0
    picture = where_seen(run, scene, each, index, 2 * options.size)
    return Card(each, known, still(picture))


def where_seen(
    run: EvaluatedRun, scene: ArrangedScene, each: SceneObject, index: int, size: int
) -> Float[np.ndarray, "height width 4"]:
    """The pixels of a training view that show an object of the edited scene, hidden or not, RGBA in [0, 1]."""
    frame = training_view(run, scene.with_edit(scene.edit.show(each.id)), index, size)
    seen = (frame.seen_ids() == each.id).float()[:, None]
    return frame.image(torch.cat([frame.edited(), seen], -1)).cpu().numpy()


@torch.no_grad()
def photos(
    run: EvaluatedRun, scene: ArrangedScene, measured: Mapping[ObjectId, Measured]
) -> dict[ObjectId, tuple[Photo, ...]]:
    """Square cut-outs of each object's best photographs."""
    dataset = dataset_of(run, "train")
    wanted = {id: [sight.view for sight in known.best_views[:SHOWN_VIEWS]] for id, known in measured.items()}
    found: dict[ObjectId, dict[str, Photo]] = {id: {} for id in wanted}
    for index, name in enumerate(photographs(run)):
        here = [id for id, names in wanted.items() if name in names]
        if not here:
            continue
        frame = training_frame(run, scene, index, LOOKED_UP)
        ids = frame.image(frame.labels().id)[..., 0].cpu().numpy()
        photograph = read_image(dataset.image_filenames[index])
        for id in here:
            if (ids == id).any():
                top, left, side = box_around(ids == id, (photograph.shape[0], photograph.shape[1]))
                inside = photograph[max(top, 0) : top + side, max(left, 0) : left + side]
                found[id][name] = Photo(name, still(inside, PHOTO))
    return {id: tuple(found[id][name] for name in names if name in found[id]) for id, names in wanted.items()}
