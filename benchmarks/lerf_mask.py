"""mIoU on LERF-Mask (Gaussian Grouping, ECCV 2024), by its averaging rule, beside published figures.

    cd data/lerf_mask/figurines && ls images_train > train_list.txt
    ls images | grep -vxFf train_list.txt | tee test_list.txt > val_list.txt
    disconerf masks --data data/lerf_mask/figurines sam
    ns-train disconerf --data data/lerf_mask/figurines colmap --colmap-path sparse/0
    python -m benchmarks.lerf_mask FIGURINES/config.yml RAMEN/config.yml TEATIME/config.yml

The data has three scenes with `images/`, `images_train/` and `test_mask/VIEW/PROMPT.png`. VIEW is the number, from 0,
of an image that `images_train/` lacks, in the order of names; where it is not a number, it is the image's name. A
prompt's score is its mean IoU over views, a scene's the mean over prompts, the data's the mean over scenes.

What differs from the published protocol, in which Grounding DINO and SAM turn the prompt into a mask of the first test
view, rendered, and the objects in that mask are the answer in all test views: here is no text model. A prompt is
answered by the object that a person gave the prompt's name, and all views are scored. Otherwise it is answered by the
one object that looks most like the *reference* mask of the first view that has one, and this view is not scored. That
is easier, because the choice knows the truth, and harder, because no union of objects is taken and the first view,
which suits the choice, is left out. A prompt that only one view shows has no score then. A method's figures on this
page and published ones can be compared with that in mind only.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import tyro
from jaxtyping import Bool, Int
from PIL import Image

from benchmarks.quality import maps_by_cut
from disconerf_ns.errors import UserError
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.evaluation.views import views_of
from disconerf_ns.files import write_whole
from disconerf_ns.masks.image_masks import resample
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.runs import load_pipeline
from disconerf_ns.scene.tree import DEFAULT

PUBLISHED = {"Gaussian Grouping": 72.8, "ILGS": 80.5, "OpenSplat3D": 84.0}
"""mIoU in % that papers report."""
WHITE = 128
"""Grey value above which a pixel is in a reference mask."""


@dataclass
class LerfMask:
    """Score runs on LERF-Mask."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """config.yml of a run of each scene, whose held-out views are those that `images_train/` lacks."""
    sizes: Literal["default", "all"] = "default"
    """Objects that may answer a prompt: those of the default cut, or those of all cuts through the tree."""
    downscale: int = 1
    """Views are rendered at 1 / downscale of their size; masks are compared at that of the reference."""
    output: Path = Path("benchmarks/results/lerf_mask.json")
    """File of the figures."""


class Sight(NamedTuple):
    """A view that shows a prompt."""

    labels: Sequence[Int[np.ndarray, "h w"]]
    """Numbers of the objects at each cut, 0 for none; an object has the same number in every cut."""
    reference: Bool[np.ndarray, "a b"]
    """The prompt's true mask."""


def read_references(data: Path) -> dict[str, dict[str, Path]]:
    """Files of the reference masks by view and prompt.

    Raises:
        UserError: there are none.
    """
    folders = sorted(path for path in (data / "test_mask").glob("*") if path.is_dir())
    found = {folder.name: {path.stem: path for path in sorted(folder.glob("*.png"))} for folder in folders}
    if not any(found.values()):
        raise UserError(f"LERF-Mask: {data} has no test_mask/VIEW/PROMPT.png; give runs of LERF-Mask's scenes.")
    return found


def image_of(view: str, data: Path) -> str:
    """Name, without its suffix, of the image that a folder of reference masks is about.

    Raises:
        UserError: there is no such image.
    """
    trained = {path.stem for path in (data / "images_train").iterdir()}
    held_out = sorted(path.stem for path in (data / "images").iterdir() if path.stem not in trained)
    if view in held_out:
        return view
    if not view.isdecimal() or int(view) >= len(held_out):
        raise UserError(
            f"LERF-Mask: {data / 'test_mask' / view} is of no image; images/ has {len(held_out)} that images_train/ "
            "has not; give a dataset with all of both."
        )
    return held_out[int(view)]


def read_mask(path: Path) -> Bool[np.ndarray, "h w"]:
    """A reference mask."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L")) > WHITE


def iou(found: Bool[np.ndarray, "h w"], reference: Bool[np.ndarray, "h w"]) -> float:
    """Intersection over union of two masks; 0 if both are empty."""
    union = np.count_nonzero(found | reference)
    return np.count_nonzero(found & reference) / union if union else 0.0


def choose(sight: Sight, cuts: Collection[int]) -> int:
    """Number of the object that looks most like the reference, of some cuts; 0 if none touches it."""
    best, answer = 0.0, 0
    for cut in cuts:
        labels = resample(sight.labels[cut], *sight.reference.shape)
        for number in np.unique(labels[sight.reference & (labels > 0)]):
            value = iou(labels == number, sight.reference)
            if value > best:
                best, answer = value, int(number)
    return answer


def answered(sight: Sight, number: int) -> float:
    """IoU of an object with the reference, in the cut that shows the object; 0 where none does."""
    for labels in sight.labels:
        if number and (labels == number).any():
            return iou(resample(labels, *sight.reference.shape) == number, sight.reference)
    return 0.0


def prompt_score(sights: Sequence[Sight], named: int | None, cuts: Collection[int]) -> float | None:
    """Mean IoU of a prompt over its views; None if the only one chose the object.

    Args:
        sights: the views that show it, in order.
        named: number of the object that has the prompt's name; None if there is none.
        cuts: indices of the cuts whose objects may answer.
    """
    number, scored = (choose(sights[0], cuts), sights[1:]) if named is None else (named, sights)
    return float(np.mean([answered(sight, number) for sight in scored])) if scored else None


def mean_of(scores: Mapping[str, float | None]) -> float:
    """Mean over what has a score.

    Raises:
        UserError: nothing has.
    """
    known = [score for score in scores.values() if score is not None]
    if not known:
        raise UserError("LERF-Mask: no prompt is shown by two views; name objects after prompts in the viewer.")
    return float(np.mean(known))


def score_scene(pipeline: DiscoNerfPipeline, names: Mapping[str, int], trial: LerfMask) -> dict[str, float | None]:
    """Score of every prompt of a run's scene.

    Args:
        names: number of each object that a person named, by name.
    Raises:
        UserError: reference masks are missing, or of an image that the run does not hold out.
    """
    data = Path(pipeline.config.datamanager.dataparser.data)
    references, maps = read_references(data), maps_by_cut(pipeline, trial.downscale)
    index = {view.image.stem: number for number, view in enumerate(views_of(pipeline))}
    granularities = sorted(maps)
    cuts = range(len(granularities)) if trial.sizes == "all" else [granularities.index(DEFAULT)]
    sights: dict[str, list[Sight]] = {}
    for folder, files in sorted(references.items(), key=lambda item: image_of(item[0], data)):
        image = image_of(folder, data)
        if files and image not in index:
            raise UserError(
                f"LERF-Mask: the run does not hold out {image}, which {data / 'test_mask' / folder} is of; train it "
                "with train_list.txt and test_list.txt beside images/."
            )
        for prompt, file in files.items():
            labels = [maps[granularity][index[image]] for granularity in granularities]
            sights.setdefault(prompt, []).append(Sight(labels, read_mask(file)))
    return {prompt: prompt_score(seen, names.get(prompt.casefold()), cuts) for prompt, seen in sorted(sights.items())}


def table(scenes: Mapping[str, float]) -> list[str]:
    """Lines of the data's mIoU beside published ones, in %."""
    lines = ["| | mIoU | " + " | ".join(scenes) + " |", "|---" * (2 + len(scenes)) + "|"]
    lines += [f"| {name} (published) | {value} |" + "   |" * len(scenes) for name, value in PUBLISHED.items()]
    each = " | ".join(f"{100 * value:.1f}" for value in scenes.values())
    return [*lines, f"| these runs (another protocol) | {100 * np.mean(list(scenes.values())):.1f} | {each} |"]


def main(trial: LerfMask) -> None:
    prompts = {}
    for config in trial.runs:
        pipeline = load_pipeline(config, "test")
        objects = pipeline.model.current.value.all_objects
        names = {each.title.casefold(): each.label_number for each in objects if each.title}
        scene = Path(pipeline.config.datamanager.dataparser.data).name
        prompts[scene] = score_scene(pipeline, names, trial)
        for prompt, score in prompts[scene].items():
            print(f"{scene}: {prompt}: {'no second view' if score is None else f'{100 * score:.1f}'}", flush=True)
    scenes = {scene: mean_of(scores) for scene, scores in prompts.items()}
    print("\n".join(table(scenes)))
    facts = {"machine": machine(), "versions": versions(), "sizes": trial.sizes, "downscale": trial.downscale}
    content = {**facts, "mIoU": float(np.mean(list(scenes.values()))), "scenes": scenes, "prompts": prompts}
    write_whole(trial.output, json.dumps(content, indent=1))


if __name__ == "__main__":
    main(tyro.cli(LerfMask))
