"""`disconerf render`: render a turntable video of every object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from disconerf_ns.errors import UserError
from disconerf_ns.runs import check_granularity, load_pipeline, objects_of, other_objects_of
from disconerf_ns.scene.objects import find_object


@dataclass
class Render:
    """Render a turntable video of each object of a run, as edited in the viewer."""

    load_config: Path
    """config.yml of the run."""
    output_dir: Path = Path("renders/objects")
    """Folder of the videos, one video per object."""
    objects: tuple[str, ...] = ()
    """Names of the objects, such as object_03 or a name given in the viewer; by default all objects."""
    granularity: float | None = None
    """How fine objects are, from 0, the coarsest, to 1; by default as saved in the viewer, or else 0.5."""
    frames: int = 48
    """Number of frames per turn."""
    size: int = 256
    """Width and height of a frame in pixels."""
    fps: int = 24
    """Frames per second."""

    def __call__(self) -> None:
        """Render and write the videos.

        Raises:
            UserError: the run has no objects, no object of a given name, or an option is out of range.
        """
        for option in ("frames", "size", "fps"):
            if getattr(self, option) < 1:
                raise UserError(f"render: --{option} is {getattr(self, option)}; it has to be 1 or more.")
        check_granularity("render", self.granularity)

        import numpy as np
        import torch
        from rich.markup import escape
        from rich.progress import track

        from disconerf_ns.rendering.film import film, orbit, write_film

        shown, others = (of(self.load_config, self.granularity) for of in (objects_of, other_objects_of))
        chosen = [find_object(shown, name, others).name for name in self.objects]
        pipeline = load_pipeline(self.load_config)
        scene = pipeline.model.current.value
        if self.granularity is not None:
            scene = scene.with_edit(scene.edit.at(self.granularity))
        poses = pipeline.datamanager.train_dataset.cameras.camera_to_worlds.cpu()
        objects = [scene.find(name) for name in dict.fromkeys(chosen)] or scene.objects
        for each in objects:
            cameras = orbit(torch.tensor(each.box), poses, self.frames, self.size)
            frames = track(film(scene, cameras, each.id), f"filming {escape(each.label)}", total=self.frames)
            video = np.stack([frame.numpy() for frame in frames])
            write_film(self.output_dir / f"{each.file_name}.mp4", video, self.fps)
        print(f"render: {len(objects)} videos are in {self.output_dir}")
