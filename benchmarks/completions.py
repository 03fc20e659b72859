"""Objects alone, beside the amodal truth, with objects completed in other ways than the default one.

    python -m benchmarks.completions --run RUN --data DATA --layout table

This needs the extra `scenes`. Rows are variants: mean IoU over objects and held-out views, objects of at least 0.9, the
mean difference of colours, in [0, 1], from those of path-traced pictures of each object alone, and mean IoU in a turn
of eight pictures around each object.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import tyro

from benchmarks.edits import Arguments, Held, Turn, Turned, iou, mean, shown_alone

VARIANTS: dict[str, dict[str, float]] = {
    "the field": {},
    "default": {},
    "no hull": {"closed_surface.SLACK": 1e9},
    "hull and 2.5 voxels": {"closed_surface.SLACK": 2.5},
    "hull and 1 voxel": {"closed_surface.SLACK": 1.0},
    "octree of depth 7": {"closed_surface.DEPTH": 7},
    "nothing below what was seen": {"closed_surface.FOOT": 1.0},
    "open regions too": {"enclosure.OPEN": 1e9},
    "one voxel around rays": {"enclosure.SHELL": 1},
    "what single rays pass is seen": {"voxels.INTO": 1e9},
    "points without company count": {"closed_surface.COMPANY": 0.0},
    "others' surfaces left aside": {"completion.COARSER": 0.0},
    "coarse surfaces of others too": {"completion.COARSER": 1e9},
    "no colours replaced beside others": {"completed_colors.ALIKE": 2.0},
    "all colours replaced beside others": {"completed_colors.COMMON": 1.0},
}
"""Constants of modules in `disconerf_ns.scene` that differ from the default; `the field` is without completion."""


@dataclass
class Completions(Arguments):
    """Compare ways of completing."""

    variants: tuple[str, ...] = tuple(VARIANTS)
    """Which of them."""

    def __call__(self) -> None:
        """Score all variants, and the radiance field as it is."""
        held = Held.of(self)
        found = held.matched()
        truths, turns = {}, []
        for label, only, masks in held.alone():
            if label in found:
                truths[label] = held.photos(only, self.samples), masks
                turns.append(Turn.around(found[label], held, only, Turned.frames, Turned.size))
        trained, rows = held.scene.arranged.trained, []
        for name in self.variants:
            scene = held.scene.arranged.with_trained(trained).with_options(complete=name != "the field")
            with ExitStack() as changed:
                for constant, value in VARIANTS[name].items():
                    changed.enter_context(patch(f"disconerf_ns.scene.{constant}", value))
                pictures = {label: shown_alone(held, scene, found[label]) for label in truths}
                turned = [iou(turn.truth, turn.shown(scene)) for turn in turns]
            shown = {label: picture[..., 3] > 0.5 for label, picture in pictures.items()}
            scores = [iou(truths[label][1], mask) for label, mask in shown.items()]
            apart = [
                np.abs(pictures[label][..., :3] - photos)[masks & shown[label]].mean()
                for label, (photos, masks) in truths.items()
            ]
            rows.append(
                {
                    "variant": name,
                    "mean IoU": mean(scores),
                    "at 0.9": sum(x >= 0.9 for x in scores),
                    "colours": mean(apart),
                    "turned": mean(turned),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
        self.write("completions", rows)


if __name__ == "__main__":
    tyro.cli(Completions)()
