"""Splats of every object, drawn again from held-out cameras and compared with the object's own mask and the truth.

    python -m benchmarks.splats --run outputs/table/disconerf-small/TIME/config.yml --data data/table

`sampled` are gaussians sampled from the radiance field. `taken apart` are the same gaussians in one file, without
labels and in the capture's coordinates, which the object field takes apart again. Both are drawn at the photographs'
size by benchmarks/rasterizer.py. IoU is that of what is at least half opaque with
- `mask`: the picture of the object alone that `disconerf render` draws, at least half opaque;
- `large mask`: the same with both drawn `--enlarged` times as large, of sampled ones alone. Every program that draws
  splats makes them wider by about half a pixel (`rasterizer.BLUR`), which is much of a thing that is 15 pixels wide;
- `truth`: true visible pixels of the instance that the object shows, where all gaussians are drawn together; beside it
  is the same of the field's own labels, since what was discovered may be a part, or more than one instance.
Objects are listed by name; those of fewer than LEAST pixels in a view, and whatever surrounds the scene, count nowhere.
"""

from __future__ import annotations

import json
import tempfile
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import torch
import tyro
from jaxtyping import Bool, Float, Int
from nerfstudio.cameras.cameras import Cameras
from PIL import Image
from rich.progress import track
from torch import Tensor

from benchmarks.rasterizer import composite, rasterize
from benchmarks.table import commit
from disconerf_ns.api import Scene, load
from disconerf_ns.evaluation.label_files import label_path
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.evaluation.views import views_of
from disconerf_ns.export.splats_apart import OwnedSplats, take_apart
from disconerf_ns.export.splats_ply import write_ply
from disconerf_ns.export.splats_sampled import look_at_all, sample_splats
from disconerf_ns.files import write_whole
from disconerf_ns.filming.frames import alone
from disconerf_ns.masks.label_image import read_label_image
from disconerf_ns.scene.objects import SceneObject

LEAST = 100
"""Fewest pixels of an object's mask in a view that are compared."""
SUMMARY = "gaussians", "frame", "same owner as sampled", "same owner where photographs looked", "mean"
"""What is printed of the figures."""


@dataclass
class SplatsBenchmark:
    """Compare drawn splats with masks."""

    run: Path
    """config.yml of a disconerf run."""
    data: Path
    """Its dataset, with true labels in `labels/`."""
    views: int = 2
    """Held-out views, evenly spaced."""
    gaussians: int = 200_000
    """Most gaussians."""
    rays: int = 600_000
    """Rays of the training views, about."""
    enlarged: int = 3
    """How many times as wide and high as the photographs the pictures of `large mask` are."""
    pictures: Path | None = None
    """Folder for pictures of the objects' splats."""
    output: Path | None = None
    """File of the figures; by default benchmarks/results/splats_NAME.json, with the dataset's name."""

    def __call__(self) -> None:
        """Sample, take apart, draw, compare, and write the figures."""
        scene = load(self.run)
        start = time.time()
        looks = look_at_all(scene.arranged, scene.training_rays(self.rays), scene.objects)
        sampled = sample_splats(scene.arranged, looks, self.gaussians)
        seconds = time.time() - start
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "whole.ply"
            write_ply(file, sampled.splats.placed(scene.capture))
            given = scene.given_splats(file)
            apart = {
                straddling: take_apart(scene.arranged, given.splats, straddling, given.to_scene).placed(given.to_scene)
                for straddling in ("keep", "drop", "split")
            }
        kinds = {"sampled": sampled, **{f"taken apart, {name}": owned for name, owned in apart.items()}}
        chosen = np.linspace(0, len(scene.cameras("test")) - 1, self.views).round().astype(int)
        rows = self.compare(scene, kinds, chosen)
        looked = scene.arranged.trained.looked_into(sampled.splats.means)
        same = {name: owned.id == sampled.id[owned.source] for name, owned in apart.items()}
        seen = {name: looked[owned.source] for name, owned in apart.items()}
        content = {
            "run": str(self.data.name),
            "views": len(chosen),
            "rays": self.rays,
            "gaussians": {name: len(owned.splats) for name, owned in kinds.items()},
            "seconds of sampling": round(seconds),
            "frame": given.said,
            "same owner as sampled": {name: round(float(each.float().mean()), 4) for name, each in same.items()},
            "same owner where photographs looked": {
                name: round(float(each[seen[name]].float().mean()), 4) for name, each in same.items()
            },
            "mean": {
                f"{kind}, {of}": round(mean(row[kind][of] for row in rows.values() if row[kind][of] is not None), 4)
                for kind in kinds
                for of in ("mask", "truth")
            }
            | {
                "sampled, large mask": round(
                    mean(row["large mask"] for row in rows.values() if row["large mask"] is not None), 4
                ),
                "field, truth": round(mean(row["field"] for row in rows.values() if row["field"] is not None), 4),
            },
            "objects": rows,
            "commit": commit(),
            "machine": machine(),
            "versions": versions(),
        }
        output = self.output or Path("benchmarks/results") / f"splats_{self.data.name}.json"
        write_whole(output, json.dumps(content, indent=1) + "\n")
        print(json.dumps({key: content[key] for key in SUMMARY}, indent=1))

    def compare(self, scene: Scene, kinds: dict[str, OwnedSplats], chosen: np.ndarray) -> dict[str, dict]:
        """IoU of each object, as the mean over views that see it."""
        surrounding = scene.arranged.bodies.surrounding
        objects = [each for each in scene.objects if each.number is not None and each.id not in surrounding]
        every, views = scene.cameras("test"), views_of(scene.run)
        cameras = [every[int(view) : int(view) + 1] for view in chosen]
        truths = [read_label_image(label_path(self.data / "labels", views[view].key)) for view in chosen]
        shown = [{kind: visible(owned, camera) for kind, owned in kinds.items()} for camera in cameras]
        fields = [scene.render("label", camera)[..., 0].long() for camera in cameras]
        rows = {}
        for each in track(objects, "objects"):
            instance = self.instance(each, [view["sampled"] for view in shown], truths)
            masks = [shown_alone(scene, each, camera) > 0.5 for camera in cameras]
            seen = [view for view, mask in enumerate(masks) if mask.sum() >= LEAST]
            rows[each.name] = {}
            for kind, owned in kinds.items():
                of_mask, of_truth = [], []
                for view in seen:
                    drawn = rasterize(owned.of(each.id), cameras[view])
                    of_mask.append(iou(drawn.alpha > 0.5, masks[view]))
                    self.picture(each, kind, int(chosen[view]), drawn.rgb + 1 - drawn.alpha[..., None])
                for of_view, truth in zip(shown, truths):
                    true = torch.from_numpy(truth == instance)
                    if true.sum() >= LEAST:
                        of_truth.append(iou(of_view[kind] == each.id, true))
                rows[each.name][kind] = {"mask": mean_or_none(of_mask), "truth": mean_or_none(of_truth)}
            large = [enlarged(cameras[view], self.enlarged) for view in seen]
            rows[each.name]["large mask"] = mean_or_none(
                [
                    iou(rasterize(kinds["sampled"].of(each.id), at).alpha > 0.5, shown_alone(scene, each, at) > 0.5)
                    for at in large
                ]
            )
            rows[each.name]["field"] = mean_or_none(
                [
                    iou(labels == each.label_number, torch.from_numpy(truth == instance))
                    for labels, truth in zip(fields, truths)
                    if (truth == instance).sum() >= LEAST
                ]
            )
            rows[each.name]["instance"] = instance
        return rows

    def instance(self, each: SceneObject, shown: list[Int[Tensor, "h w"]], truths: list[np.ndarray]) -> int:
        """The true instance that most pixels of an object show."""
        labels = np.concatenate([truth[(seen == each.id).numpy()] for seen, truth in zip(shown, truths)])
        return int(np.bincount(labels[labels >= 0].astype(int)).argmax()) if (labels >= 0).any() else -1

    def picture(self, each: SceneObject, kind: str, view: int, image: Tensor) -> None:
        """Write a picture, if pictures are wanted."""
        if self.pictures is not None:
            self.pictures.mkdir(parents=True, exist_ok=True)
            path = self.pictures / f"{view}_{each.name}_{kind.replace(', ', '_').replace(' ', '_')}.png"
            Image.fromarray((image.clamp(0, 1) * 255).byte().numpy()).save(path)


def enlarged(camera: Cameras, times: int) -> Cameras:
    """A camera whose pictures are several times as wide and high."""
    large = deepcopy(camera)
    large.rescale_output_resolution(times)
    return large


def visible(owned: OwnedSplats, camera) -> Int[Tensor, "h w"]:
    """The id whose gaussians are seen most in each pixel, all drawn together; -1 below half opacity."""
    kinds, column = owned.id.unique(return_inverse=True)
    seen = composite(owned.splats, camera, torch.nn.functional.one_hot(column, len(kinds)).float())
    return torch.where(seen.sum(-1) > 0.5, kinds[seen.argmax(-1)], -1)


def shown_alone(scene: Scene, each: SceneObject, camera) -> Float[Tensor, "h w"]:
    """An object's alpha in the picture of it alone that `disconerf render` draws."""
    return torch.from_numpy(alone(scene.arranged, each.id, camera, scene.arranged.bodies.clean(each.id))[..., 3])


def iou(one: Bool[Tensor, "h w"], other: Bool[Tensor, "h w"]) -> float:
    """Intersection over union."""
    return float((one & other).sum() / (one | other).sum().clamp(min=1))


def mean_or_none(values: list[float]) -> float | None:
    """The mean; None of nothing."""
    return round(mean(values), 4) if values else None


if __name__ == "__main__":
    tyro.cli(SplatsBenchmark)()
