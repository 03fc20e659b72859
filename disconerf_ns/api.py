"""Finished runs in Python: load one, look at its objects, edit it, draw and film it, score it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.composition import Composition
from disconerf_ns.composition import compose as compose_runs
from disconerf_ns.errors import UserError
from disconerf_ns.evaluation import scores
from disconerf_ns.evaluation.predictions import training_rays
from disconerf_ns.evaluation.scores import Scores
from disconerf_ns.evaluation.views import EvaluatedRun, capture_of, check_downscale, dataset_of, masks_of, views_of
from disconerf_ns.export.splats_apart import OwnedSplats, Straddling, take_apart
from disconerf_ns.export.splats_frame import FrameOfSplats, GivenSplats
from disconerf_ns.export.splats_placed import placed
from disconerf_ns.export.splats_sampled import look_at_all, sample_splats
from disconerf_ns.filming.frames import film
from disconerf_ns.filming.shots import orbit
from disconerf_ns.filming.writers import FORMATS, write_film
from disconerf_ns.gaussians.radiance import SplatRadiance
from disconerf_ns.gaussians.spherical_harmonics import LARGEST_DEGREE
from disconerf_ns.masks.numbers import Named
from disconerf_ns.masks.placement import Orientation
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.options import COUNT, DOWNSCALE, FRAMES, PART, RATE, SIDE, Range, check_number
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import frame_outputs, output_table, unmixed
from disconerf_ns.runs import ReadSplats, load_pipeline, read_splats
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.tree import DEFAULT

FILM_RATE = Range(PART.low, RATE.high, f"more than 0 and at most {RATE.high:,}")
"""Frames per second of a film."""
EVIDENCE = 100_000
"""Rays of the training views that tell which frame a file of gaussians is in."""


@dataclass(frozen=True)
class Scene:
    """A finished run's scene under an edit. It never changes: `edited` gives another one, which shares the run.

    >>> scene = load(run)
    >>> [each.name for each in scene.objects][:3]
    ['object_00', 'object_01', 'object_02']
    >>> scene.edited(Edit().rename(scene.objects[1].id, "ball")).find("ball").name
    'object_01'
    """

    run: EvaluatedRun
    """nerfstudio's pipeline of the run."""
    arranged: ArrangedScene
    """The scene as a value."""

    @property
    def objects(self) -> Sequence[SceneObject]:
        """The objects of the cut that the edit shows, in the order of their names."""
        return self.arranged.objects

    @property
    def edit(self) -> Edit:
        """The edit; first the one that a person saved in the viewer."""
        return self.arranged.edit

    @property
    def outputs(self) -> list[str]:
        """Names of all outputs that `render` draws.

        >>> {"rgb", "objects", "edited", "object_00", "object_00_mask"} <= set(load(run).outputs)
        True
        """
        return list(output_table(self.arranged))

    def find(self, name: str) -> SceneObject:
        """The object of an output name, or of a name that a person gave.

        Raises:
            UserError: no object, or more than one, has that name.

        >>> load(run).find("object_01").slots == {load(run).find("object_01").id}
        True
        """
        return self.arranged.find(name)

    def edited(self, edit: Edit) -> Scene:
        """The same run under another edit.

        Raises:
            UserError: the edit is about objects that the scene does not have, or is no edit of any scene.

        >>> scene = load(run)
        >>> first, second = scene.objects[:2]
        >>> len(scene.edited(Edit().merge([first.id], second.id)).objects) == len(scene.objects) - 1
        True
        """
        if fault := edit.fault(self.arranged.trained.tree):
            raise UserError(f"edit: {fault}.")
        return replace(self, arranged=self.arranged.with_edit(edit))

    def at(self, granularity: float) -> Scene:
        """The same scene with finer or coarser objects; names and other edits stay with their objects.

        Args:
            granularity: 0 for the coarsest objects, 1 for the finest, 0.5 for the default ones.
        Raises:
            UserError: it is not from 0 to 1.

        >>> scene = load(run)
        >>> len(scene.at(0.0).objects) <= len(scene.objects) <= len(scene.at(1.0).objects)
        True
        """
        return self.edited(self.edit.at(granularity))

    def cameras(self, split: Literal["train", "test"] = "train") -> Cameras:
        """Cameras of the photographs of a split: `test` was held out.

        Raises:
            UserError: there is no such split.

        >>> len(load(run).cameras("train"))
        14
        """
        if split not in ("train", "test"):
            raise UserError(f"cameras: there is no split {split!r}; choose 'train' or 'test'.")
        return dataset_of(self.run, split).cameras

    @torch.no_grad()
    def render(self, output: str, camera: Cameras) -> Float[Tensor, "height width channels"]:
        """One output of one camera, on the CPU.

        Args:
            output: a name of `outputs`, or a name that a person gave an object.
            camera: one camera, such as `scene.cameras()[0]`.
        Raises:
            UserError: the scene has no such output or object.

        >>> scene = load(run)
        >>> scene.render("object_00_mask", scene.cameras()[0:1]).shape
        torch.Size([36, 48, 1])
        """
        if camera.size != 1:
            raise UserError(f"render: {camera.size} cameras were given; pass one, such as cameras[0].")
        camera = camera.reshape((1,))
        name = output if output in output_table(self.arranged) else self.find(output).name
        return frame_outputs(Frame.seen_by(self.arranged, camera))[name].cpu()

    def cutout(self, name: str, camera: Cameras) -> Float[Tensor, "height width 4"]:
        """One object with transparency: RGBA in [0, 1], colours without the background's.

        Args:
            name: an object's output name, or a name that a person gave.
            camera: one camera.
        Raises:
            UserError: no object, or more than one, has that name.

        >>> scene = load(run)
        >>> scene.cutout("object_01", scene.cameras()[0:1]).shape
        torch.Size([36, 48, 4])
        """
        output = self.find(name).name
        rgb, alpha = self.render(output, camera), self.render(f"{output}_mask", camera)
        return torch.cat([unmixed(rgb, alpha, self.arranged.options.background), alpha], -1)

    def film(
        self,
        name: str,
        frames: int = 48,
        size: int = 256,
        transparent: bool = False,
        clean: bool = True,
        shadow: bool = False,
    ) -> Iterator[Float[Tensor, "size size channels"]]:
        """The frames of a turntable around an object alone, as the edit colours it, in [0, 1].

        Args:
            name: an object's output name, number, or a name that a person gave.
            frames: frames of one turn, at least 1.
            size: side of the square frames in pixels, at least 1.
            transparent: give RGB and alpha, colours not multiplied by alpha, in place of RGB on the background colour.
            clean: take away haze and crumbs.
            shadow: let it stand on a neutral ground with a soft shadow.
        Raises:
            UserError: no object, or more than one, has that name, or a number is out of range.

        >>> [frame.shape for frame in load(run).film("object_01", frames=1, size=8, transparent=True)]
        [torch.Size([8, 8, 4])]
        """
        check_number("film: frames", frames, FRAMES)
        check_number("film: size", size, SIDE)
        shot = orbit(self.arranged, self.find(name), self.cameras(), frames, size)
        return film(self.arranged, shot.cameras, self.find(name).id, shot.look(clean, shadow), transparent)

    # ---------------------------------------------------------------- splats

    @property
    def capture(self) -> Similarity:
        """The similarity from scene coordinates to the capture's, the coordinates of the data's poses."""
        return capture_of(self.run)

    def training_rays(self, most: int) -> Iterator[RayBundle]:
        """Flat rays of each training view, about `most` of all, through pixels that teach the radiance field.

        Raises:
            UserError: `most` is below 1.
        """
        check_number("training_rays: most", most, COUNT)
        return training_rays(self.run, most)

    @property
    def own_splats(self) -> GivenSplats | None:
        """The gaussians that the scene is made of, as its splatfacto run has them; None if it is a radiance field."""
        radiance = self.arranged.trained.radiance
        if not isinstance(radiance, SplatRadiance):
            return None
        return GivenSplats(radiance.splats.to("cpu"), Similarity(), "scene, whose own they are")

    def given_splats(self, path: Path | str, frame: FrameOfSplats = "auto") -> GivenSplats:
        """Gaussians of the same capture, and where they are in the scene.

        Args:
            path: a PLY file of gaussians, or the config.yml or folder of a splatfacto run.
            frame: coordinates of a file: "scene" as in this run, "capture" as in its data, or "auto", which decides by
                the surface on which the gaussians have to lie. A run says where it is.
        Raises:
            UserError: there are no gaussians that can be read, or they fit nowhere.
        """
        return self.placed_splats(read_splats(Path(path)), frame)

    def placed_splats(self, read: ReadSplats, frame: FrameOfSplats = "auto") -> GivenSplats:
        """Gaussians that were read with `disconerf_ns.runs.read_splats`, and where they are in the scene.

        Args:
            read: the gaussians.
            frame: as in `given_splats`.
        Raises:
            UserError: they fit nowhere.
        """
        return placed(*read, frame, self.arranged, self.capture, lambda: self.training_rays(EVIDENCE))

    def splats(
        self,
        given: Path | str | None = None,
        frame: FrameOfSplats = "auto",
        straddling: Straddling = "keep",
        gaussians: int = 200_000,
        degree: int = 0,
        rays: int = 1_000_000,
    ) -> OwnedSplats:
        """Gaussians in the capture's coordinates, and the object that each belongs to; `.of(object.id)` selects.

        Objects stand where the edit puts them; hidden ones are not there.

        Args:
            given: a PLY file or a splatfacto run of the same capture, which is taken apart; None takes the scene's own,
                or else samples gaussians from the radiance field's surface.
            frame: as in `given_splats`.
            straddling: what becomes of given gaussians on a border: kept whole, dropped, or split.
            gaussians: most gaussians that are sampled, at least 1.
            degree: of the sampled ones' spherical harmonics, from 0 to 3.
            rays: rays of the training views, about, that are sampled, at least 1.
        Raises:
            UserError: there are no gaussians that can be read, or they fit nowhere, or a number is out of range.

        >>> scene = load(run)
        >>> splats = scene.splats(gaussians=500, rays=2000)
        >>> len(splats.of(scene.objects[1].id)) > 0
        True
        """
        check_number("splats: gaussians", gaussians, COUNT)
        check_number("splats: degree", degree, Range(0, LARGEST_DEGREE))
        check_number("splats: rays", rays, COUNT)
        found = self.own_splats if given is None else self.given_splats(given, frame)
        if found is None:
            looks = look_at_all(self.arranged, self.training_rays(rays), self.objects)
            owned = sample_splats(self.arranged, looks, gaussians, degree).placed(self.capture)
        else:
            apart = take_apart(self.arranged, found.splats, straddling, found.to_scene)
            owned = apart.placed(self.capture @ found.to_scene)
        return owned.without(self.edit.hidden).standing(self.edit.standing, self.capture)


def save_film(
    path: Path | str, frames: Iterable[Float[Tensor, "height width channels"]], fps: float | int = 24
) -> None:
    """Write frames as a video, with transparency if the frames have it and the format can; whole or not at all.

    Args:
        path: an .mp4, .webm (VP9), .mov (ProRes 4444), .webp or .gif file, or without suffix a folder of PNG files.
        frames: RGB, or RGB and alpha, in [0, 1], all of one size, such as those of `Scene.film`; they are taken one by
            one.
        fps: frames per second, above 0 and at most 1000.
    Raises:
        UserError: there is no such format or rate, or a frame has another shape than the first one.
        OSError: the file cannot be written, or there are no frames.

    >>> save_film(folder / "ball.webm", load(run).film("object_01", frames=2, size=16, transparent=True))
    >>> (folder / "ball.webm").stat().st_size > 0
    True
    """
    path = Path(path)
    known = [format.suffix for format in FORMATS.values()]
    if path.suffix not in known:
        raise UserError(f"save_film: {path} has no suffix of a film; choose one of {', '.join(filter(None, known))}.")
    check_number("save_film: fps", fps, FILM_RATE)
    write_film(path, (frame.cpu().numpy() for frame in frames), float(fps))


def load(run: Path | str) -> Scene:
    """Load a finished run, with its newest checkpoint and the edit that a person saved.

    Args:
        run: config.yml of the run, or the folder that holds it.
    Raises:
        UserError: there is no such run, or it has no objects yet.

    >>> load(run.parent).objects == load(run).objects
    True
    """
    path = Path(run)
    config = path / "config.yml" if path.is_dir() else path
    if not config.is_file():
        raise UserError(f"load: there is no {config}; pass a run's folder or its config.yml.")
    pipeline = load_pipeline(config, test_mode="test")
    return Scene(pipeline, pipeline.model.current.value)


def compose(file: Path | str) -> Scene:
    """The scene of one run with objects of this and other runs in it, which the output `edited` shows.

    Args:
        file: JSON file that names the runs, their objects, and where these stand; README describes it.
    Raises:
        UserError: the file is no composition, or a run cannot be loaded or has no such object.

    >>> arrangement = {"scene": str(run), "objects": [{"run": str(run), "object": "object_01", "at": [0, 0, 1]}]}
    >>> _ = (folder / "scene.json").write_text(json.dumps(arrangement))
    >>> len(compose(folder / "scene.json").arranged.guests)
    1
    """
    composed = compose_runs(Composition.load(Path(file)), test_mode="test")
    return Scene(composed.pipeline, composed.scene)


def evaluate(
    scene: Scene,
    labels: Path | str,
    masks: MaskStore | None = None,
    void: Named = "auto",
    downscale: int = 1,
    orientation: Orientation = "auto",
    granularity: float = DEFAULT,
) -> Scores:
    """Score a run, and the 2D masks beside it, on every held-out view; an edit takes no part.

    Args:
        scene: a loaded run.
        labels: folder of true labels by image key, `LABELS/<the image's path>.png`.
        masks: 2D masks that are scored too; by default the run's own if they cover the held-out views.
        void: true labels of pixels that count nowhere, one or several; None if every label is an object. "auto" says
            what it judges by all labels: negative ones are void, or else 0 is, and 255 that stands apart is too.
        downscale: views are rendered at 1 / downscale of their size, at least 16 pixels along each side.
        orientation: picture that the labels were drawn on, where a photograph has an EXIF orientation: "upright",
            "stored", or "auto", which decides by sizes and by edges of the photographs, and prints what it decided.
        granularity: how fine the scored objects are, from 0 to 1.
    Returns:
        IoU, BD and SBD in [0, 1] (the paper's 4.1): of the masks, of the field per view, and of the whole scene.
    Raises:
        UserError: no view is held out, one has no true labels or labels of another shape, or there is no such
            granularity or downscale.

    >>> evaluate(load(run), labels).scene["IoU"] > 0.5
    True
    """
    check_number("evaluate: downscale", downscale, DOWNSCALE)
    if fault := Edit().at(granularity).fault(scene.arranged.trained.tree):
        raise UserError(f"evaluate: {fault}.")
    views = views_of(scene.run)
    check_downscale("evaluate: downscale", downscale, views)
    store = masks if masks is not None else masks_of(scene.run, views)
    return scores.evaluate(
        scene.run, Path(labels), store, void, downscale, orientation=orientation, granularity=granularity
    )
