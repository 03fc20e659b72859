"""`disconerf compose`: objects of several runs in one picture, film or viewer."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from disconerf_ns.consoles import track
from disconerf_ns.errors import UserError
from disconerf_ns.files import check_folder
from disconerf_ns.options import FRAMES, PORT, RATE, VISIBLE, check_options

if TYPE_CHECKING:
    from nerfstudio.cameras.cameras import Cameras

    from disconerf_ns.composition import Composed


@dataclass
class Compose:
    """Render objects of several runs together, hiding one another as they stand. README has an example of the file."""

    file: tyro.conf.Positional[Path]
    """JSON file that names the runs, their objects and where these stand."""
    output_dir: Path = Path("renders/compose")
    """Folder of the film, and of the pictures in it."""
    path: Literal["interpolate", "training"] = "interpolate"
    """interpolate: between the photographs of the scene's run; training: at each of them."""
    camera_path: Path | None = None
    """A camera path saved in nerfstudio's viewer of that run, instead of --path."""
    format: tuple[Literal["mp4", "webm", "mov", "webp", "gif", "png"], ...] = ("mp4",)
    """mp4: H.264; webm: VP9 and mov: ProRes 4444, with transparency where nothing stands; webp and gif: animated; png:
    a folder of files."""
    resolution: int | None = None
    """Pixels of a frame's shorter side, made even; by default the photographs'."""
    frames: int = 48
    """Number of frames."""
    fps: int = 24
    """Frames per second."""
    clean: bool = True
    """Leave behind the haze and the floaters that surround objects in their own scenes."""
    complete: bool = True
    """Complete objects where no photograph looked, by continuing their seen surface; otherwise show what the radiance
    field made up there."""
    layers: bool = False
    """Also write, for each frame, the object and the distance of each pixel: labels/NNNN.png, depth/NNNN.npy and
    labels.json."""
    viewer: bool = False
    """Open nerfstudio's viewer with the composed scene instead."""
    viewer_port: int = 7007
    """Port of the viewer, which listens on this machine only."""

    def __call__(self) -> None:
        """Load the runs, and render or show what they make together.

        Raises:
            UserError: the file is no composition, a run cannot be loaded, or an option is out of range.
        """
        check_options("compose", self, resolution=VISIBLE, frames=FRAMES, fps=RATE, viewer_port=PORT)
        from disconerf_ns.filming.layers import LAYERS

        if self.layers and self.file.stem in LAYERS:
            raise UserError(
                f"compose: the film of {self.file} would be called {self.file.stem}, as a folder of --layers is; "
                "rename the file."
            )
        if not self.viewer:
            check_folder(self.output_dir, "choose another --output-dir.")

        from disconerf_ns.composition import Composition, compose

        composition, path = Composition.load(self.file), self._path_of_file()
        composed = compose(composition, clean=self.clean, complete=self.complete)
        if self.viewer:
            self._show(composed)
        else:
            self._render(composed, path)

    def _path_of_file(self) -> Cameras | None:
        if self.camera_path is None:
            return None

        from disconerf_ns.filming.paths import path_of_file

        return path_of_file(self.camera_path)[0]

    def _cameras(self, composed: Composed, path: Cameras | None) -> Cameras:
        import torch

        from disconerf_ns.filming.paths import evenly, in_size, interpolated

        if path is not None:
            return in_size(evenly(path, self.frames), self.resolution)
        cameras = in_size(composed.pipeline.datamanager.train_dataset.cameras.to("cpu"), self.resolution)
        if self.path == "training":
            return evenly(cameras, self.frames)
        return interpolated(cameras, torch.linspace(0, 1, self.frames), order=True)

    def _render(self, composed: Composed, path: Cameras | None) -> None:
        from disconerf_ns.filming.backdrop import color_behind
        from disconerf_ns.filming.layers import layers_of, save_legend
        from disconerf_ns.filming.matte import in_bytes
        from disconerf_ns.filming.production import laid_on
        from disconerf_ns.filming.writers import FORMATS, film_file

        cameras, formats = self._cameras(composed, path), {name: FORMATS[name] for name in self.format}
        if self.layers:
            save_legend(composed.scene, composed.names, self.output_dir / "labels.json")
        with ExitStack() as films:
            puts = [
                (films.enter_context(film_file(self.output_dir / self.file.stem, format, float(self.fps))), format)
                for format in formats.values()
            ]
            for number in track(range(len(cameras)), "composing"):
                layers = layers_of(composed.scene, cameras[number : number + 1])
                picture = in_bytes(layers.picture)
                for put, format in puts:
                    put(laid_on(picture, color_behind(None, format)))
                if self.layers:
                    layers.save(self.output_dir, number)
        files = ", ".join(f"{self.file.stem}{format.suffix or '/'}" for format in formats.values())
        print(f"compose: {files}, of {len(cameras)} frame{'s' if len(cameras) != 1 else ''}; in {self.output_dir}")

    def _show(self, composed: Composed) -> None:
        from nerfstudio.scripts.viewer.run_viewer import _start_viewer

        from disconerf_ns.runs import config_of

        config = config_of(composed.composition.scene)
        config.vis = "viewer"
        config.viewer.websocket_host, config.viewer.websocket_port = "127.0.0.1", self.viewer_port
        _start_viewer(config, composed.pipeline, config.max_num_iterations)
