"""A second round of masks: what it adds to the masks, and to the objects that are learned from them.

    python -m benchmarks.second_round --run outputs/room/disconerf-small/TIME/config.yml --data data/room

The objects are found on the run's frozen surfaces from a set of noisy masks and scored. Their pictures in the training
views then prompt a proposer, as `disconerf masks refine` does, its masks join the others, and the objects are found and
scored anew. The proposer is a simulator: it knows the true labels, and errs as the masks of a level of noise do, each
time by a throw of its own. Figures are written after each round, and what is in the file already is not done again.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Bool, Int, UInt8

from benchmarks.quality import Quality, Stage, save, score
from disconerf_ns.cli.refine import rendered
from disconerf_ns.evaluation.label_files import label_path
from disconerf_ns.masks.label_image import read_label_image
from disconerf_ns.masks.prompts import Prompt, PromptCriteria, Seen, prompts_of, usual_sizes
from disconerf_ns.masks.proposers.recipe import Answers
from disconerf_ns.masks.second_round import completed
from disconerf_ns.masks.store import MaskStore
from examples.scenes.noise import LEVELS, MaskNoise, agreement, displaced, iou_matrix, neighbours, piece, punctured


@dataclass
class SecondRound:
    """Score objects before and after a second round of masks."""

    run: Path
    """config.yml of a disconerf run whose radiance field is used."""
    data: Path
    """Its dataset, with true labels in `labels/` and sets of masks in `masks/`."""
    masks: tuple[str, ...] = ("heavy",)
    """Sets of masks of the first round."""
    proposers: tuple[str, ...] = ("mild", "middle", "heavy")
    """Levels of noise of the proposer of the second round."""
    seeds: tuple[int, ...] = (0, 1)
    """Seeds of each."""
    shown: float = PromptCriteria.shown
    """IoU with an object's picture, from which on a mask shows the object."""
    size: int = 128
    """Pixels of the longer side of the objects' pictures, about."""
    iterations: int = 400
    """Iterations of each training."""
    downscale: int = 2
    """Held-out views are scored at 1 / downscale of their size."""
    output: Path = Path("benchmarks/results/second_round.json")
    """File of the figures."""


class Simulator:
    """A proposer that answers each prompt, as SAM does, with a part, a whole and a group, all of them with errors.

    The object is the one under most of the points inside. Where the noise would have missed, split or merged the
    object, there is no mask of the whole.

    Args:
        labels: the view's true labels; 0 is nothing.
        noise: what goes wrong, and how often.
        seed: give every view its own.
    """

    def __init__(self, labels: Int[np.ndarray, "height width"], noise: MaskNoise, seed: int):
        self.labels, self.noise, self.random = labels, noise, np.random.default_rng(seed)
        self.names = np.unique(labels[labels > 0])
        self.objects = [labels == name for name in self.names]

    def prompted(self, image: UInt8[np.ndarray, "height width 3"], prompts: Sequence[Prompt]) -> Iterator[Answers]:
        """The masks for each prompt; the image is not looked at."""
        for prompt in prompts:
            regions = self.regions(self.under(prompt))
            pixel = self.labels.shape[1] / 256
            masks = [
                displaced(punctured(region, self.noise, self.random), self.noise, pixel, self.random)
                for region in regions
            ]
            found = np.stack(masks) if masks else np.zeros((0, *self.labels.shape), dtype=bool)
            best = iou_matrix(np.stack(self.objects), found).max(0) if masks else np.zeros(0)
            quality = 0.80 + 0.18 * best + 0.03 * self.random.standard_normal(len(found))
            yield Answers(found, quality.clip(0, 1), None, None)

    def under(self, prompt: Prompt) -> int | None:
        """Index of the true object under most of the points inside; None if that is nothing."""
        height, width = self.labels.shape
        there = [self.labels[int(y * height), int(x * width)] for x, y in prompt.inside]
        names, counts = np.unique(there, return_counts=True)
        name = names[counts.argmax()]
        return int(np.searchsorted(self.names, name)) if name > 0 else None

    def regions(self, number: int | None) -> list[Bool[np.ndarray, "height width"]]:
        """A piece of an object, the object, and the object with a neighbour, as far as they are found."""
        if number is None:
            return []
        whole, near = self.objects[number], neighbours(self.objects, number)
        fails = self.random.random() < self.noise.miss + self.noise.split + self.noise.merge
        group = [whole | self.objects[self.random.choice(near)]] if near else []
        return [piece(whole, self.random), *([] if fails else [whole]), *group]


def main(trial: SecondRound) -> None:
    rows = json.loads(trial.output.read_text())["rows"] if trial.output.exists() else []
    done = {(row["scene"], row["masks"], row["proposer"], row["seed"]) for row in rows}
    quality = Quality(
        trial.run, trial.data, iterations=trial.iterations, downscale=trial.downscale, output=trial.output
    )
    surfaces = {}
    for masks in trial.masks:
        first = Stage(quality, masks, surfaces)
        for seed in trial.seeds:
            todo = [each for each in (None, *trial.proposers) if (trial.data.name, masks, each, seed) not in done]
            if not todo:
                continue
            about = {"scene": trial.data.name, "masks": masks, "seed": seed}
            figures = score(quality, first, "scene", seed)
            if None in todo:
                own = about_masks(first.pipeline.datamanager.store, trial)
                rows.append({**about, "proposer": None, **own, **figures})
                save(quality, rows)
            seen = rendered(first.pipeline, trial.size)
            for level in filter(None, todo):
                with tempfile.TemporaryDirectory() as folder:
                    store = refine(trial, first, seen, level, seed, Path(folder))
                    second = Stage(quality, str(store.root), surfaces)
                    own = about_masks(store, trial)
                    rows.append({**about, "proposer": level, **own, **score(quality, second, "scene", seed)})
                save(quality, rows)


def refine(
    trial: SecondRound, first: Stage, seen: Sequence[tuple[Seen, ...]], level: str, seed: int, folder: Path
) -> MaskStore:
    """The masks of the first round and, in training views, the simulator's masks of what they do not show."""
    manager, old = first.pipeline.datamanager, first.pipeline.datamanager.store
    store = MaskStore.create(folder, {"generator": "second round"})
    usual, wanted, asked, new = usual_sizes(chain.from_iterable(seen)), PromptCriteria(shown=trial.shown), 0, 0
    for key in old.keys():
        stored = masks = old.load(key)
        if key in manager.train_keys:
            index = manager.train_keys.index(key)
            shape = seen[index][0].labels.shape
            at = stored.decode(*shape), stored.decode_looked_at(*shape)
            prompts = prompts_of(seen[index], *at, usual, wanted)
            simulator = Simulator(truth(trial, key), LEVELS[level], 1000 * seed + index)
            image = np.zeros((1, 1, 3), np.uint8)
            masks = completed(stored, prompts, simulator.prompted(image, prompts))
            asked, new = asked + len(prompts), new + len(masks) - len(stored)
        store.save(key, masks)
    print(f"{trial.data.name} {level} {seed}: {asked} prompts, {new} new masks", flush=True)
    return store


def about_masks(store: MaskStore, trial: SecondRound) -> dict[str, float]:
    """Number of masks, and their mean agreement with the true labels, over all views."""
    views = [(store.load(key), truth(trial, key)) for key in store.keys()]
    agreements = [agreement(labels, masks.decode(*labels.shape)) for masks, labels in views]
    return {"count": sum(len(masks) for masks, _ in views), "agreement": float(np.mean(agreements))}


def truth(trial: SecondRound, key: str) -> Int[np.ndarray, "height width"]:
    """The true labels of a view."""
    return read_label_image(label_path(trial.data / "labels", key)).astype(np.int64)


if __name__ == "__main__":
    main(tyro.cli(SecondRound))
