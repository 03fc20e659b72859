"""Images of objects beside nerfacto's own rgb of the same camera, in one run.

    python -m benchmarks.rendering --run outputs/.../config.yml
    python -m benchmarks.rendering --synthetic     # a model of disconerf's size without a run; object_00 fills it

Each image is drawn as when a camera moves: nothing is kept from another one but where the objects are, their
occupancy. Images take turns, and a ratio is the median over the turns.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import tyro
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.models.nerfacto import NerfactoModel

from benchmarks.clock import timed
from benchmarks.full_size import full_size, looking_at_it
from benchmarks.runs import load
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import frame_outputs


@dataclass
class Rendering:
    """Measure how long images take."""

    run: Path | None = None
    """config.yml of a disconerf run."""
    synthetic: bool = False
    """Draw a model of disconerf's full size that nothing has taught, in the place of a run."""
    size: int = 512
    """Side of the images in pixels."""
    turns: int = 1
    """Times that each image is drawn."""
    camera: int = 0
    """Held-out view that the camera stands at."""
    objects: int = 100
    """Objects that are drawn alone, the largest ones."""
    output: Path | None = None
    """File of the figures; by default benchmarks/results/rendering_SCENE.json, or rendering_synthetic.json."""


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
    for name in ["rgb", "depth", "objects", *(each.name for each in scene.objects[:most])]:
        draw[name] = lambda name=name: frame_outputs(Frame(scene, rays, (len(rays),)))[name]
    return draw


def subject(trial: Rendering) -> tuple[str, DiscoNerfModel, Cameras]:
    """What is drawn: its name, the model, and a camera with a square image."""
    if trial.synthetic:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return "synthetic", full_size(device), looking_at_it(trial.size, trial.size, device)
    if trial.run is None:
        raise SystemExit("Pass --run, or --synthetic.")
    pipeline = load(trial.run)
    pipeline.eval()
    cameras = pipeline.datamanager.eval_dataset.cameras[trial.camera : trial.camera + 1]
    name = Path(pipeline.config.datamanager.dataparser.data).name
    return name, pipeline.model, square(cameras, trial.size).to(pipeline.device)


@torch.no_grad()
def main(trial: Rendering) -> None:
    dataset, model, camera = subject(trial)
    rays, scene, gpu = (
        camera.generate_rays(0, keep_shape=True).flatten(),
        model.current.value,
        model.device.type == "cuda",
    )
    with timed() as building:
        for each in scene.objects[: trial.objects]:
            scene.bodies.occupancy(each.id)
    draw = images(model, rays, trial.objects)
    seconds, covered = {name: [] for name in draw}, {}
    for turn in range(trial.turns + gpu):  # on a GPU the first turn compiles kernels
        for name, image in draw.items():
            with timed() as lap:
                drawn = image().cpu()
            covered[name] = float(drawn.ne(1).any(-1).float().mean())
            if turn >= gpu:
                seconds[name].append(lap.seconds if gpu else lap.cpu_seconds)
    own = seconds["nerfacto rgb"]
    rows = [
        {
            "image": name,
            "seconds": median(taken),
            "frames_a_second": 1 / median(taken),
            "ratio": median(one / other for one, other in zip(taken, own)),
            "covered": covered[name],
        }
        for name, taken in seconds.items()
    ]
    for row in rows:
        figures = f"{row['seconds']:8.4f} s {row['frames_a_second']:6.1f} a second {row['ratio']:6.3f}"
        print(f"{row['image']:14} {figures}  {100 * row['covered']:.0f} %")
    facts = {"machine": machine(), "versions": versions(), "cores": os.cpu_count()}
    found = {"scene": dataset, "size": trial.size, "turns": trial.turns, "rows": rows}
    found["occupancies_s"] = building.seconds if gpu else building.cpu_seconds
    output = trial.output or Path(f"benchmarks/results/rendering_{dataset}.json")
    write_whole(output, json.dumps(facts | found, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Rendering))
