"""`disconerf render`: film every object."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import tyro

from disconerf_ns.consoles import progress, track
from disconerf_ns.errors import UserError, reason
from disconerf_ns.files import check_folder
from disconerf_ns.options import FRAMES, GRANULARITY, PROCESSES, RATE, VISIBLE, Range, check_options
from disconerf_ns.runs import EditedRun, load_pipeline
from disconerf_ns.scene.objects import called

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from jaxtyping import UInt8
    from nerfstudio.cameras.cameras import Cameras

    from disconerf_ns.filming.frames import Painter
    from disconerf_ns.filming.shots import Shot
    from disconerf_ns.scene.arranged import ArrangedScene, SceneOptions
    from disconerf_ns.scene.edit import Edit
    from disconerf_ns.scene.objects import SceneObject


class Default(NamedTuple):
    """A film where nothing is said."""

    resolution: int
    frames: int
    fps: int


MUCH = 0.3
"""Name another path when more than this part of a film's cameras looks at sides that no photograph shows."""
ON_GPU, ON_CPU = Default(512, 96, 24), Default(256, 24, 12)


@dataclass
class Render:
    """Film each object of a run alone, as edited in the viewer, with haze and floaters taken away."""

    load_config: Path
    """config.yml of the run."""
    output_dir: Path = Path("renders/objects")
    """Folder of the films, one for each object and format."""
    objects: tuple[str, ...] = ()
    """Numbers, output names such as object_03, or names given in the viewer; by default all objects."""
    granularity: float | None = None
    """How fine objects are, from 0, the coarsest, to 1; by default as saved in the viewer, or else 0.5."""
    edit: Path | None = None
    """An edit.json to take in the place of the one that was saved in the run's folder."""
    format: tuple[Literal["mp4", "webm", "mov", "webp", "gif", "png"], ...] = ("mp4",)
    """mp4: H.264; webm: VP9, with transparency; mov: ProRes 4444, with transparency; webp and gif: animated; png: a
    folder of files."""
    background: str | None = None
    """A colour such as white or #20242c, transparent, or scene for the edited scene around the object; by default
    transparent in webm, mov, webp and png, and white in mp4 and gif."""
    path: Literal["orbit", "sway", "interpolate", "spiral", "training"] = "orbit"
    """orbit: around the object; sway: to and fro on the sides that photographs show; interpolate: between the
    photographs; spiral: at the photograph that sees it best; training: at the photographs."""
    camera_path: Path | None = None
    """A camera path saved in nerfstudio's viewer, instead of --path."""
    ground: Literal["none", "shadow"] = "none"
    """Whether the object stands on a neutral ground with a soft shadow."""
    clean: bool = True
    """Take away haze, floaters and what is less than half opaque at the borders; in the edited scene, haze and floaters
    of what was moved or copied."""
    complete: bool = True
    """Complete objects where no photograph looked, by continuing their seen surface; otherwise show what the radiance
    field made up there."""
    resolution: Annotated[int | None, tyro.conf.arg(aliases=["--size"])] = None
    """Pixels of a frame's shorter side, made even; by default 512 on a GPU, 256 on a CPU, or --camera-path's."""
    frames: int | None = None
    """Number of frames; by default 96 on a GPU and 24 on a CPU."""
    seconds: float | None = None
    """Length of the film, instead of --frames."""
    fps: int | None = None
    """Frames per second; by default 24 on a GPU and 12 on a CPU."""
    contact_sheet: bool = False
    """Also write one picture with every object, its name and its colour: contact_sheet.png."""
    grid: bool = False
    """Also write one video with all films side by side: all.mp4."""
    devices: int | None = None
    """Processes that share the frames, one for each GPU; by default as many as there are GPUs, or else 1."""

    def __call__(self) -> None:
        """Render and write the films.

        Raises:
            UserError: the run has no objects, no object of a given name, or an option is out of range.
        """
        self._check()
        edited = EditedRun(self.load_config, self.granularity, self.edit, self.complete)
        chosen = edited.find(self.objects)
        check_folder(self.output_dir, "choose another --output-dir.")

        from disconerf_ns.filming.backdrop import color_behind, parse_backdrop
        from disconerf_ns.filming.paths import path_of_file
        from disconerf_ns.filming.production import produce, write_grid, write_sheet
        from disconerf_ns.filming.sheet import SmallFilms
        from disconerf_ns.filming.writers import FORMATS

        backdrop = parse_backdrop(self.background)
        formats = {name: color_behind(backdrop, FORMATS[name]) for name in self.format}
        path, seconds = path_of_file(self.camera_path) if self.camera_path else (None, None)
        length = self._length(len(path) / seconds if path is not None and seconds else None)

        pipeline = edited.pipeline
        scene = pipeline.model.current.value.with_options(clean=self.clean)
        objects = self._filmed([scene.find(each.name) for each in chosen], scene)
        filmed, shots = self._shots(scene, objects, pipeline.datamanager.train_dataset.cameras, path, length)
        small = (
            SmallFilms(filmed, max((len(shot.cameras) for shot in shots), default=0))
            if self.contact_sheet or self.grid
            else None
        )
        frames = self._frames(scene, shots)
        with progress("filming", sum(len(shot.cameras) for shot in shots)) as advance:
            done = lambda shot: advance(shot.name)
            films = produce(shots, frames, self.output_dir, formats, length.fps, small, done)
        written = [f"{film}/" if (self.output_dir / film).is_dir() else film for film in films]
        if small is not None and self.contact_sheet:
            write_sheet(small, self.output_dir / "contact_sheet.png")
            written.append("contact_sheet.png")
        if small is not None and self.grid:
            write_grid(small, self.output_dir / "all.mp4", length.fps)
            written.append("all.mp4")
        print(f"render: {', '.join(written)}; in {self.output_dir}")

    def _filmed(self, named: list[SceneObject], scene: ArrangedScene) -> list[SceneObject]:
        """The objects that were named, or all; in a film of the edited scene, those that it shows.

        Raises:
            UserError: one that was named is hidden there.
        """
        objects = named or list(scene.objects)
        hidden = [each for each in objects if each.id in scene.edit.hidden]
        if self.background != "scene" or self._same_path or not hidden:
            return objects
        names = ", ".join(map(called, hidden))
        if named or len(hidden) == len(objects):
            raise UserError(
                f"render: {names} {'is' if len(hidden) == 1 else 'are'} hidden in the edited scene; use `disconerf "
                "objects show` first, or leave out --background scene."
            )
        print(f"render: hidden in the edited scene, so not filmed there: {names}.")
        return [each for each in objects if each not in hidden]

    @property
    def _same_path(self) -> bool:
        """Whether all objects are filmed from the same cameras."""
        return self.camera_path is not None or self.path in ("interpolate", "training")

    def _check(self) -> None:
        check_options(
            "render", self, resolution=VISIBLE, frames=FRAMES, seconds=Range(1e-3, 86_400), fps=RATE, devices=PROCESSES,
            granularity=GRANULARITY,
        )  # fmt: skip
        if self.frames is not None and self.seconds is not None:
            raise UserError("render: --frames and --seconds both say how long the film is; pass one of them.")
        if self.camera_path is not None and self.path != "orbit":
            raise UserError(f"render: --camera-path and --path {self.path} both say where the camera goes; pass one.")
        if self.background == "scene" and self.ground != "none":
            raise UserError("render: --ground shadow is for objects alone; leave out --background scene.")
        if self.background == "scene" and self._same_path and (self.contact_sheet or self.grid):
            raise UserError(
                "render: --contact-sheet and --grid show films of objects, and this path makes one film of the scene; "
                "leave out --background scene, or film orbits."
            )

    def _length(self, fps_of_path: float | None) -> Length:
        """Size, number of frames and speed of the films: what was said, or the defaults of this machine.

        Raises:
            UserError: a length in seconds is more frames than a film can have.
        """
        import torch

        gpu = torch.cuda.is_available()
        default = ON_GPU if gpu else ON_CPU
        fps = float(self.fps or fps_of_path or default.fps)
        frames = self.frames or (max(round(self.seconds * fps), 1) if self.seconds else None)
        if frames is not None and frames > FRAMES.high:
            raise UserError(
                f"render: {self.seconds:g} seconds at {fps:g} frames a second are {frames:,} frames, and a film has "
                f"{FRAMES.high:,} at most; lower --seconds or --fps."
            )
        if not gpu and self.resolution is None and self.camera_path is None:
            print(
                f"render: without a GPU a frame takes seconds, so films have {default.resolution} pixels unless "
                f"--resolution says more, and {default.frames} frames at {default.fps} a second unless --frames does."
            )
        return Length(self.resolution or (None if self.camera_path else default.resolution), frames, fps, default)

    def _shots(
        self,
        scene: ArrangedScene,
        objects: list[SceneObject],
        photographs: Cameras,
        path: Cameras | None,
        length: Length,
    ) -> tuple[list[SceneObject], list[Shot]]:
        """The objects that are filmed, and their films' cameras; what is to be known of each is printed.

        Raises:
            UserError: no object can be filmed.
        """
        import torch

        from disconerf_ns.filming.appearance import surrounds
        from disconerf_ns.filming.paths import even, evenly, in_size, interpolated
        from disconerf_ns.filming.shots import Shot, orbit, spiral_shot

        among, frames = self.background == "scene", length.frames or length.default.frames
        if self._same_path:
            if path is not None or self.path == "training":
                cameras = evenly(in_size(photographs if path is None else path, length.resolution), length.frames)
            else:
                views = in_size(photographs, length.resolution)
                cameras = interpolated(views, torch.linspace(0, 1, frames), order=True)
            if among:
                return objects, [Shot("scene", None, cameras)]
            around = [surrounds(scene, each, photographs) for each in objects]
            return objects, [Shot(x.file_name, x.id, cameras, surrounds=y) for x, y in zip(objects, around)]
        paths = {"orbit": orbit, "sway": partial(orbit, photographed=True), "spiral": spiral_shot}
        size = even(length.resolution or length.default.resolution)
        shots, failed = {}, []
        for each in track(objects, "looking at every object"):
            try:
                shots[each.id] = paths[self.path](scene, each, photographs, frames, size, among)
            except Exception as error:  # whatever a library makes of one object, the others are filmed
                failed.append(f"render: {each.label} could not be filmed: {reason(error)}.")
        if not shots:
            raise UserError(" ".join(failed))
        filmed = [each for each in objects if each.id in shots]
        labels = defaultdict(list)
        for each in filmed:
            labels[shots[each.id].remark].append(each.label)
        for remark in filter(None, labels):
            print(f"render: {', '.join(labels[remark])}: {remark}.")
        if self.path == "orbit" and any(shot.unseen > MUCH for shot in shots.values()):
            print("render: --path sway keeps the camera on the sides that photographs show.")
        for sentence in failed:
            print(sentence)
        return filmed, list(shots.values())

    def _frames(self, scene: ArrangedScene, shots: list[Shot]) -> Iterator[UInt8[np.ndarray, "height width channels"]]:
        """All frames in order, drawn here or by one process for each device."""
        import torch

        from disconerf_ns.filming.devices import in_processes
        from disconerf_ns.filming.frames import Painter, Wanted

        wanted = (
            Wanted(shot.shown, shot.look(self.clean, self.ground == "shadow"), shot.cameras[n : n + 1])
            for shot in shots
            for n in range(len(shot.cameras))
        )
        devices = self.devices or max(torch.cuda.device_count(), 1)
        if devices > 1:
            return in_processes(partial(_painter, self.load_config, scene.edit, scene.options), wanted, devices)
        return map(Painter(scene), wanted)


class Length(NamedTuple):
    """How large and how long films are."""

    resolution: int | None
    """Pixels of the shorter side; None for what the path says."""
    frames: int | None
    """Number of frames; None for what the path or the machine says."""
    fps: float
    default: Default
    """The machine's."""


def _painter(config: Path, edit: Edit, options: SceneOptions) -> Painter:
    """Load a run in another process, which draws frames of it under an edit."""
    from disconerf_ns.filming.frames import Painter

    return Painter(load_pipeline(config).model.current.value.with_edit(edit).with_options(**vars(options)))
