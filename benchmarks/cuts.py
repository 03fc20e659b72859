"""One view of a run at several cuts through its tree of objects, as a picture.

python -m benchmarks.cuts --run outputs/table/disconerf-small/TIME/config.yml
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import torch
import tyro

from disconerf_ns import load
from disconerf_ns.scene.tree import DEFAULT

matplotlib.use("Agg")
import matplotlib.pyplot as plt


@dataclass
class Cuts:
    """Draw a view at several cuts."""

    run: Path
    """config.yml of a disconerf run."""
    granularities: tuple[float, ...] = (0.0, DEFAULT, 1.0)
    """Cuts, from coarse to fine."""
    view: int = 0
    """Held-out view."""
    output: Path = Path("docs/cuts.jpg")
    """File of the picture."""


def main(drawn: Cuts) -> None:
    scene = load(drawn.run)
    camera = scene.cameras("test")[drawn.view : drawn.view + 1]
    figure, axes = plt.subplots(1, 1 + len(drawn.granularities), figsize=(13, 2.9), layout="constrained")
    axes[0].imshow(scene.render("rgb", camera))
    axes[0].set_title("the radiance field")
    for axis, granularity in zip(axes[1:], drawn.granularities):
        cut = scene.at(granularity)
        count = sum(each.name != "rest" for each in cut.objects)
        axis.imshow(torch.lerp(cut.render("objects", camera), cut.render("rgb", camera).mean(-1, keepdim=True), 0.25))
        axis.set_title(f"granularity {granularity:g}: {count} objects")
    for axis in axes:
        axis.axis("off")
    drawn.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(drawn.output, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main(tyro.cli(Cuts))
