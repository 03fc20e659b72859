"""Splats of every object, drawn again from held-out cameras and compared with the object's own mask and the truth.

    python -m benchmarks.splats --run outputs/table/disconerf-small/TIME/config.yml --data data/table

`sampled` are gaussians sampled from the radiance field. `taken apart` are the same gaussians in one file, without
labels and in the capture's coordinates, which the object field takes apart again. Both are drawn at the photographs'
size by benchmarks/rasterizer.py. IoU is that of what is at least half opaque with
- `mask`: the picture of the object alone that `disconerf render` draws, at least half opaque;
- `truth`: true visible pixels of the instance that the object shows, where all gaussians are drawn together; beside it
  is the same of the field's own labels, since what was discovered may be a part, or more than one instance.
Objects are listed by name; those of fewer than LEAST pixels in a view, and whatever surrounds the scene, count nowhere.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import torch
import tyro
from jaxtyping import Bool, Float, Int
from PIL import Image
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
SURROUNDING = 10.0
"""Edge in scene units of a box from which on an object surrounds the scene."""


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
        same = {name: float((owned.id == sampled.id[owned.source]).float().mean()) for name, owned in apart.items()}
        content = {
            "run": str(self.data.name),
            "views": len(chosen),
            "rays": self.rays,
            "gaussians": {name: len(owned.splats) for name, owned in kinds.items()},
            "seconds of sampling": round(seconds),
            "frame": given.said,
            "same owner as sampled": {name: round(value, 4) for name, value in same.items()},
            "mean": {
                f"{kind}, {of}": round(mean(row[kind][of] for row in rows.values() if row[kind][of] is not None), 4)
                for kind in kinds
                for of in ("mask", "truth")
            }
            | {"field, truth": round(mean(row["field"] for row in rows.values() if row["field"] is not None), 4)},
            "objects": rows,
            "commit": commit(),
            "machine": machine(),
            "versions": versions(),
        }
        output = self.output or Path("benchmarks/results") / f"splats_{self.data.name}.json"
        write_whole(output, json.dumps(content, indent=1) + "\n")
        print(
            json.dumps({key: content[key] for key in ("gaussians", "frame", "same owner as sampled", "mean")}, indent=1)
        )

    def compare(self, scene: Scene, kinds: dict[str, OwnedSplats], chosen: np.ndarray) -> dict[str, dict]:
        """IoU of each object, as the mean over views that see it."""
        objects = [each for each in scene.objects if not surrounds(each)]
        cameras, views = scene.cameras("test"), views_of(scene.run)
        truths = [read_label_image(label_path(self.data / "labels", views[view].key)) for view in chosen]
        masks = [
            {each.id: shown_alone(scene, each, cameras[int(view) : int(view) + 1]) > 0.5 for each in objects}
            for view in chosen
        ]
        shown = [{kind: visible(owned, cameras[int(view)]) for kind, owned in kinds.items()} for view in chosen]
        fields = [scene.render("label", cameras[int(view)])[..., 0].long() for view in chosen]
        rows = {}
        for each in objects:
            instance = self.instance(each, [view["sampled"] for view in shown], truths)
            rows[each.name] = {}
            for kind, owned in kinds.items():
                of_mask, of_truth = [], []
                for view, mask, seen, truth in zip(chosen, masks, shown, truths):
                    if mask[each.id].sum() >= LEAST:
                        drawn = rasterize(owned.of(each.id), cameras[int(view)])
                        of_mask.append(iou(drawn.alpha > 0.5, mask[each.id]))
                        self.picture(each, kind, int(view), drawn.rgb + 1 - drawn.alpha[..., None])
                    true = torch.from_numpy(truth == instance)
                    if true.sum() >= LEAST:
                        of_truth.append(iou(seen[kind] == each.id, true))
                rows[each.name][kind] = {"mask": mean_or_none(of_mask), "truth": mean_or_none(of_truth)}
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


def surrounds(each: SceneObject) -> bool:
    """Whether an object is what surrounds the scene, or the rest: its box has no meaning."""
    return each.number is None or max(high - low for low, high in zip(*each.box)) > SURROUNDING


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
