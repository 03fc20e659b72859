"""Memory and time of the object stage on a capture of many views: spheres on a plane, seen from above.

    python -m benchmarks.large_scene                                                    # 2,000 views of 1 MP, on a GPU
    python -m benchmarks.large_scene --views 250 500 1000 --scale 8 --iterations 40    # minutes on a CPU

Surfaces and masks are computed instead of trained and proposed; from there on all is the run's own code: masks are
decoded from their run lengths, the surface is stored, the objects are found, the masks explained, rays are drawn, the
object field learns, and the objects are discovered in it. Every number of views runs in a process of its own, whose
highest memory is told beside what the log says beforehand. `--scale S` divides rows and columns by S, and the limits of
rays by S squared, so that their ratios to the pixels are those of full size; the search for objects keeps its limit.
"""

from __future__ import annotations

import json
import math
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import torch
import tyro
from jaxtyping import Bool, Float, Int
from nerfstudio.data.scene_box import SceneBox
from torch import Tensor

from benchmarks.clock import MemoryPeak, timed
from disconerf_ns.config import DiscoNerfModelConfig, DiscoNerfPipelineConfig
from disconerf_ns.datamanager import DiscoNerfDataManager
from disconerf_ns.discovery import find
from disconerf_ns.discovery.explanation import count_explained
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.field import ObjectFieldConfig
from disconerf_ns.files import write_whole
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.method import disconerf_small
from disconerf_ns.object_stage import ObjectStage
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.training.devices import Devices
from disconerf_ns.training.schedule import Stage

SIDE = 12
"""Spheres along each side of the plane, which is the square [-0.9, 0.9]^2."""
PITCH = 1.8 / SIDE
RADIUS = 0.35 * PITCH
HEIGHT = 0.55
"""Height of the cameras above the plane."""
TANGENT = 1.4
"""Half of a picture's width as a multiple of its distance: about 60 spheres are in a picture."""


@dataclass
class LargeScene:
    """Measure large captures."""

    views: tuple[int, ...] = (2000,)
    """Numbers of training views."""
    height: int = 816
    """Rows of a photograph."""
    width: int = 1224
    """Columns of a photograph."""
    masks: int = 60
    """Largest number of masks of a view."""
    scale: int = 1
    """Divisor of rows and columns; limits of rays are divided by its square."""
    iterations: int = 100
    """Iterations that are timed."""
    output: Path = Path("benchmarks/results/large_scene.json")
    """File of the figures."""


@dataclass(frozen=True)
class Picture:
    """What a view shows."""

    points: Float[Tensor, "pixels 3"]
    """Scene positions of the surface, row by row."""
    label: Int[Tensor, "pixels"]
    """Number of the sphere, -1 for the plane."""


def picture(view: int, rows: int, columns: int) -> Picture:
    """A view from a random place above the plane, straight down, turned at random; the same at every size."""
    generator = torch.Generator().manual_seed(view)
    at, turn = 1.2 * torch.rand(2, generator=generator) - 0.6, 2 * math.pi * float(torch.rand(1, generator=generator))
    x = (2 * (torch.arange(columns) + 0.5) / columns - 1) * TANGENT
    y = (2 * (torch.arange(rows) + 0.5) / rows - 1) * TANGENT * rows / columns
    y, x = torch.meshgrid(y, x, indexing="ij")
    cosine, sine = math.cos(turn), math.sin(turn)
    down = torch.stack([cosine * x - sine * y, sine * x + cosine * y, -torch.ones_like(x)], -1).flatten(0, 1)
    origin = torch.cat([at, torch.tensor([HEIGHT])])
    distance = torch.full((rows, columns), HEIGHT)
    label = torch.full((rows, columns), -1)
    rays = down.view(rows, columns, 3)
    for number in range(SIDE**2):
        centre = torch.tensor([(number % SIDE + 0.5) * PITCH - 0.9, (number // SIDE + 0.5) * PITCH - 0.9, RADIUS])
        to = origin - centre
        seen = window(cosine * -to[0] + sine * -to[1], sine * to[0] + cosine * -to[1], rows, columns)
        ray = rays[seen]
        half, squared = ray @ to, ray.square().sum(-1)
        inside = half.square() - squared * (to.square().sum() - RADIUS**2)
        hit = (-half - inside.clamp(min=0).sqrt()) / squared
        nearer = (inside > 0) & (hit < distance[seen])
        distance[seen] = torch.where(nearer, hit, distance[seen])
        label[seen] = label[seen].masked_fill(nearer, number)
    return Picture(origin + distance.view(-1, 1) * down, label.flatten())


def window(x: float, y: float, rows: int, columns: int) -> tuple[slice, slice]:
    """Rows and columns of the picture of the cube around a sphere that stands at (x, y) beside the point below."""
    sides = (-RADIUS, RADIUS)
    corners = [(x + dx, y + dy, depth) for dx, dy, depth in product(sides, sides, (HEIGHT - 2 * RADIUS, HEIGHT))]
    column = [(1 + x / depth / TANGENT) * columns / 2 for x, _, depth in corners]
    row = [rows / 2 + y / depth / TANGENT * columns / 2 for _, y, depth in corners]
    return _between(row, rows), _between(column, columns)


def _between(ends: list[float], count: int) -> slice:
    """Pixels of a row or a column between two ends, cut at the picture's borders."""
    return slice(min(max(math.floor(min(ends)), 0), count), min(max(math.ceil(max(ends)), 0), count))


def masks_of(shown: Picture, rows: int, columns: int, most: int) -> ImageMasks:
    """Masks of the largest spheres of a picture, run-length encoded."""
    numbers, sizes = shown.label[shown.label >= 0].unique(return_counts=True)
    largest = numbers[sizes.argsort(descending=True)[:most]]
    masks: Bool[Tensor, "masks rows columns"] = (shown.label == largest[:, None]).view(-1, rows, columns)
    return ImageMasks.from_arrays(masks.numpy())


class MadeViews(DiscoNerfDataManager):
    """The run's data manager, with made views in the place of photographs and files of masks."""

    def __init__(self, config, device, trial: LargeScene, views: int):
        torch.nn.Module.__init__(self)
        self.config, self.device, self.devices, self.trial = config, device, Devices(), trial
        self.shuffled, self._kept, self._kept_bytes, self.limits_rays = [], {}, 0, True
        box = SceneBox(aabb=torch.tensor([[-1.0, -1, -1], [1, 1, 1]]))
        most = {"most_masks": trial.masks, "slots": 2 * trial.masks}
        self.train_dataset = Views(scene_box=box, metadata=most, count=views, cameras=SimpleNamespace())

    def _image_size(self, index: int) -> tuple[int, int]:
        return self.trial.height // self.trial.scale, self.trial.width // self.trial.scale

    @cached_property
    def masks(self) -> list[ImageMasks]:
        """Masks of every view."""
        size = self._image_size(0)
        return [masks_of(picture(view, *size), *size, self.trial.masks) for view in range(len(self.train_dataset))]

    def taught(self, index: int) -> Bool[Tensor, "pixels"]:
        """True for all pixels."""
        return torch.ones(math.prod(self.view_size(index)), dtype=torch.bool)


class Views(SimpleNamespace):
    """A dataset that has a length."""

    def __len__(self) -> int:
        return self.count


class MadeStage(ObjectStage):
    """The run's object stage, with a made surface in the place of a trained one."""

    def sample_surface(self, view: int) -> SurfaceSamples:
        """A view's surface; the second point of a ray lies a little below the first."""
        points = picture(view, *self.datamanager.view_size(view)).points.to(self.device)
        steps = 0.002 * torch.arange(self.config.model.surface_points, device=points.device)[:, None]
        deeper = points[:, None] - steps * torch.tensor([0.0, 0.0, 1.0], device=points.device)
        contraction = self.model.current.value.trained.contraction
        return SurfaceSamples.pack(contraction(deeper), torch.ones(len(points), device=points.device))


def made_pipeline(trial: LargeScene, views: int, folder: Path) -> DiscoNerfPipeline:
    """A pipeline at the start of its object stage."""
    area, small = trial.scale**2, disconerf_small.config.pipeline.model
    model = DiscoNerfModelConfig(
        **{name: getattr(small, name) for name in ("num_levels", "log2_hashmap_size", "proposal_net_args_list")},
        implementation="torch",
        object_field=ObjectFieldConfig() if area == 1 else ObjectFieldConfig(finest=256, log2_table=17),
    )
    config = DiscoNerfPipelineConfig(model=model)
    data = config.datamanager
    data.view_pixels, data.surface_rays = data.view_pixels // area, data.surface_rays // area
    data.rays_per_batch = max(131_072 // area, views)
    data.setup = lambda device, **_: MadeViews(data, device, trial, views)
    pipeline = DiscoNerfPipeline(config, "cuda" if torch.cuda.is_available() else "cpu")
    pipeline.folder = folder
    pipeline.object_stage = pipeline.steps.object_stage = MadeStage(config, pipeline.model, pipeline.datamanager)
    return pipeline


def measure(trial: LargeScene, views: int) -> dict:
    """Seconds of processor time (on a GPU, of the clock) and highest memory of a capture, part by part."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    row: dict = {"views": views, "seconds": {}}

    def part(name: str, run):
        with timed() as lap:
            result = run()
        row["seconds"][name] = lap.seconds if torch.cuda.is_available() else lap.cpu_seconds
        return result

    with tempfile.TemporaryDirectory() as folder, MemoryPeak() as peak:
        pipeline = made_pipeline(trial, views, Path(folder))
        data = pipeline.datamanager
        part("making the masks, which is no part of a run", lambda: data.masks)
        row["masks_per_view"] = sum(map(len, data.masks)) / views
        row["encoded_mib"] = sum(len(each.rle["counts"]) for view in data.masks for each in view.annotations) / 2**20
        row["said_mib"] = {name: size / 2**20 for name, size in pipeline.object_stage.memory._asdict().items()}
        pipeline.model.freeze_radiance(True)
        stage = pipeline.object_stage
        stage.surfaces = part("surface", lambda: stage.sample_surfaces(pipeline.folder))
        part("decoding masks", lambda: [data.view_masks(view) for view in data.views])
        with patch.object(find, "draw_cells", wraps=find.draw_cells) as draws:
            stage.explanations = part("finding objects", stage.explain_masks)
        row["draws"] = draws.call_count
        explained, masks = count_explained(stage.explanations)
        row["explained"] = explained / masks
        pipeline.stage = Stage.OBJECTS
        part("rays", lambda: stage.scene_rays)
        optimizer = torch.optim.Adam(pipeline.model.object_field.parameters(), 0.15, eps=1e-15)

        def iterate() -> None:
            for step in range(trial.iterations):
                optimizer.zero_grad()
                with pipeline.training_step(step) as upcoming:
                    losses, _ = upcoming.compute()
                sum(losses.values()).backward()
                optimizer.step()

        part("iterations", iterate)
        found = part("discovering objects", stage.discover_objects)
    row |= {"objects": len(found), "slots": pipeline.model.object_field.slots, "peak_mib": peak.mib}
    return row


def main(trial: LargeScene) -> None:
    """Measure and write."""
    rows = []
    for views in trial.views:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            rows.append(alone.submit(measure, trial, views).result())
        print(json.dumps(rows[-1], indent=1))
    about = {"machine": machine(), "versions": versions(), "scale": trial.scale, "rows": rows}
    write_whole(trial.output, json.dumps(about, indent=1))


if __name__ == "__main__":
    main(tyro.cli(LargeScene, description=__doc__))
