"""`disconerf render`: a turntable video of every object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from disconerf_ns.cli.objects import manifest_of
from disconerf_ns.errors import UserError
from disconerf_ns.objects import load_manifest


@dataclass
class Render:
    """Film the objects of a run, each alone on a turntable."""

    load_config: Path
    """config.yml of the run."""
    output_dir: Path = Path("renders/objects")
    """Folder of the videos, one per object."""
    objects: tuple[str, ...] = ()
    """Names of the objects, such as object_03; by default all of them."""
    frames: int = 48
    """Frames of one turn."""
    size: int = 256
    """Side of the square frames in pixels."""
    fps: int = 24
    """Frames per second."""

    def __call__(self) -> None:
        """Render and write the videos.

        Raises:
            UserError: the run has no objects, or none of that name.
        """
        names = [found.name for found in load_manifest(manifest_of(self.load_config))]
        unknown = [name for name in self.objects if name not in names]
        if unknown:
            raise UserError(
                f"render: there is no {unknown[0]} in {self.load_config.parent}; it has {', '.join(names)}."
            )

        import mediapy
        import numpy as np
        from nerfstudio.utils.eval_utils import eval_setup
        from rich.progress import track

        from disconerf_ns.film import film_object

        _, pipeline, _, _ = eval_setup(self.load_config, test_mode="inference")
        self.output_dir.mkdir(parents=True, exist_ok=True)
        for name in self.objects or names:
            frames = film_object(pipeline, names.index(name), self.frames, self.size)
            video = [frame.numpy() for frame in track(frames, f"filming {name}", total=self.frames)]
            mediapy.write_video(self.output_dir / f"{name}.mp4", np.stack(video), fps=self.fps)
        print(f"render: {len(self.objects or names)} videos in {self.output_dir}")
