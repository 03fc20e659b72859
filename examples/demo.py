"""Take the example scene apart: train, score, draw one overview picture and film every object.

python examples/demo.py [--output outputs/demo]
"""

from __future__ import annotations

import copy
import json
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.scripts.train import _set_random_seed
from nerfstudio.utils.rich_utils import CONSOLE
from overview import draw_overview
from rich.table import Table

from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.evaluation.scores import Scores, evaluate, psnr
from disconerf_ns.filming.frames import film
from disconerf_ns.filming.shots import orbit
from disconerf_ns.filming.writers import write_film
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.method import disconerf_small
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.scene.arranged import ArrangedScene

HERE = Path(__file__).parent


@dataclass
class Demo:
    """Take the example scene apart and show its objects."""

    data: Path = HERE / "table"
    """A nerfstudio dataset with `masks/` and true labels in `labels/`, where 0 means no object."""
    output: Path = Path("outputs/demo")
    """Folder of the run, the pictures and the videos."""
    radiance_iterations: int = 2000
    """Iterations of the radiance stage; 800 still leave holes where a table is seen at a flat angle."""
    object_iterations: int = 400
    """Iterations of the object stage, at most a third of both."""
    frames: int = 24
    """Frames of each object's video."""
    size: int = 128
    """Side of the videos in pixels."""
    seed: int = 42
    """Seed of the run."""


def train(demo: Demo) -> tuple[DiscoNerfPipeline, Path]:
    """Run `disconerf-small` as `ns-train` does; the pipeline and its config.yml."""
    config = copy.deepcopy(disconerf_small.config)
    config.data = config.pipeline.datamanager.data = demo.data.resolve()
    config.output_dir, config.vis = (demo.output / "runs").resolve(), "tensorboard"
    config.max_num_iterations = demo.radiance_iterations + demo.object_iterations
    config.pipeline.object_iterations, config.machine.seed = demo.object_iterations, demo.seed
    config.machine.device_type = "cuda" if torch.cuda.is_available() else "cpu"
    config.steps_per_eval_batch = config.steps_per_eval_image = config.steps_per_eval_all_images = 10**9
    config.logging.steps_per_log = 50
    config.set_timestamp()
    _set_random_seed(demo.seed)
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    trainer.train()
    trainer.pipeline.eval()
    return trainer.pipeline, config.get_base_dir() / "config.yml"


def print_scores(scores: Scores) -> None:
    """The paper's three metrics, the masks beside the field that they taught."""
    table = Table(title="Held-out views", caption="area-weighted IoU, Best Dice, Symmetric Best Dice in %")
    table.add_column("")
    for name in scores.masks:
        table.add_column(name, justify="right")
    for label, values in (
        ("2D masks, per view", scores.masks),
        ("field, per view", scores.views),
        ("field, whole scene", scores.scene),
    ):
        table.add_row(label, *(f"{100 * value:.1f}" for value in values.values()))
    CONSOLE.print(table)


def film_objects(scene: ArrangedScene, photographs: Cameras, demo: Demo) -> list[np.ndarray]:
    """Write a video per object; returns the first frame of each."""
    stills = []
    for number, each in enumerate(scene.objects, 1):
        shot = orbit(scene, each, photographs, demo.frames, demo.size)
        frames = [frame.numpy() for frame in film(scene, shot.cameras, each.id, shot.look())]
        write_film(demo.output / "videos" / f"{each.name}.mp4", frames, fps=8.0)
        stills.append(frames[0])
        CONSOLE.print(f"filmed {each.name} ({number} of {len(scene.objects)})")
    return stills


def main(demo: Demo) -> None:
    warnings.filterwarnings("ignore", category=UserWarning, module="nerfstudio")
    clock, times = time.perf_counter(), {}

    def lap(name: str) -> None:
        nonlocal clock
        times[name], clock = round(time.perf_counter() - clock, 1), time.perf_counter()

    pipeline, config = train(demo)
    lap("training")
    scores = evaluate(pipeline, demo.data / "labels", MaskStore.find(demo.data), void=0, downscale=2)
    lap("evaluation")
    scene = pipeline.model.current.value
    stills = film_objects(scene, pipeline.datamanager.train_dataset.cameras, demo)
    lap("videos")
    overview = demo.output / "overview.png"
    draw_overview(pipeline, view=1, stills=stills).save(overview)
    lap("overview")

    print_scores(scores)
    facts = {
        "scores": asdict(scores),
        "psnr_view_1": psnr(pipeline, 1),
        "seconds": times,
        "settings": {key: str(value) for key, value in asdict(demo).items()},
        "machine": machine(),
        "versions": versions(),
    }
    (demo.output / "metrics.json").write_text(json.dumps(facts, indent=2))
    took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in times.items())
    CONSOLE.print(f"[bold]took[/bold]     {took}")
    CONSOLE.print(f"[bold]picture[/bold]  {overview}")
    CONSOLE.print(f"[bold]videos[/bold]   {demo.output / 'videos'}  ({len(scene.objects)} objects)")
    CONSOLE.print(f"[bold]scores[/bold]   {demo.output / 'metrics.json'}")
    CONSOLE.print(f"[bold]viewer[/bold]   ns-viewer --load-config {config}", soft_wrap=True)


if __name__ == "__main__":
    main(tyro.cli(Demo))
