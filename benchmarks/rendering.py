"""Images of objects beside nerfacto's own rgb of the same camera, in one run.

    python -m benchmarks.rendering --run outputs/.../config.yml

Each image is drawn as when a camera moves: nothing is kept from another one but where the objects are, their
occupancy. Images take turns, and a ratio is the median over the turns.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import tyro
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.models.nerfacto import NerfactoModel

from benchmarks.runs import load
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import frame_outputs


@dataclass
class Rendering:
    """Measure how long images take."""

    run: Path
    """config.yml of a disconerf run."""
    size: int = 512
    """Side of the images in pixels."""
    turns: int = 1
    """Times that each image is drawn."""
    camera: int = 0
    """Held-out view that the camera stands at."""
    objects: int = 100
    """Objects that are drawn alone, the largest ones."""
    output: Path | None = None
    """File of the figures; by default benchmarks/results/rendering_SCENE.json."""


def square(camera: Cameras, size: int) -> Cameras:
    """The camera with a square image, of what it saw in width."""
    return Cameras(
        camera_to_worlds=camera.camera_to_worlds,
        fx=camera.fx * size / camera.width,
        fy=camera.fy * size / camera.width,
        cx=torch.full_like(camera.cx, size / 2),
        cy=torch.full_like(camera.cy, size / 2),
        width=size,
        height=size,
    )


def nerfacto(model: DiscoNerfModel, rays: RayBundle) -> torch.Tensor:
    """The picture as nerfacto draws it, by chunks as nerfstudio does."""
    chunk = model.config.eval_num_rays_per_chunk
    parts = [rays[start : start + chunk] for start in range(0, len(rays), chunk)]
    return torch.cat([NerfactoModel.get_outputs(model, model.collider(part))["rgb"] for part in parts])


def images(model: DiscoNerfModel, rays: RayBundle, most: int) -> dict[str, Callable[[], torch.Tensor]]:
    """A function for each image, which draws it from nothing."""
    scene, draw = model.current.value, {"nerfacto rgb": lambda: nerfacto(model, rays)}
    for name in ["rgb", "objects", *(each.name for each in scene.objects[:most])]:
        draw[name] = lambda name=name: frame_outputs(Frame(scene, rays, (len(rays),)))[name]
    return draw


@torch.no_grad()
def main(trial: Rendering) -> None:
    pipeline = load(trial.run)
    pipeline.eval()
    model, scene = pipeline.model, pipeline.model.current.value
    dataset = Path(pipeline.config.datamanager.dataparser.data).name
    cameras = pipeline.datamanager.eval_dataset.cameras
    camera = square(cameras[trial.camera : trial.camera + 1], trial.size).to(pipeline.device)
    rays = camera.generate_rays(camera_indices=0, keep_shape=True).flatten()
    started = time.process_time()
    for each in scene.objects[: trial.objects]:
        scene.occupancy(each.id)
    built = time.process_time() - started
    clock = time.perf_counter if pipeline.device.type == "cuda" else time.process_time
    draw = images(model, rays, trial.objects)
    seconds, covered = {name: [] for name in draw}, {}
    for _ in range(trial.turns):
        for name, image in draw.items():
            started = clock()
            drawn = image().cpu()
            seconds[name].append(clock() - started)
            covered[name] = float(drawn.ne(1).any(-1).float().mean())
    own = seconds["nerfacto rgb"]
    rows = [
        {
            "image": name,
            "seconds": median(taken),
            "ratio": median(one / other for one, other in zip(taken, own)),
            "covered": covered[name],
        }
        for name, taken in seconds.items()
    ]
    for row in rows:
        print(f"{row['image']:14} {row['seconds']:7.2f} s {row['ratio']:5.2f}  {100 * row['covered']:.0f} %")
    facts = {"machine": machine(), "versions": versions(), "cores": os.cpu_count()}
    found = {"scene": dataset, "size": trial.size, "turns": trial.turns, "occupancies_s": built, "rows": rows}
    output = trial.output or Path(f"benchmarks/results/rendering_{dataset}.json")
    write_whole(output, json.dumps(facts | found, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Rendering))
