"""`disconerf eval`: score a run's objects on views with true labels, or write its label maps for other programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from disconerf_ns.consoles import track
from disconerf_ns.errors import UserError
from disconerf_ns.files import check_file, check_folder, write_whole
from disconerf_ns.masks.placement import Orientation
from disconerf_ns.options import DOWNSCALE, GRANULARITY, LABEL, check_options
from disconerf_ns.runs import manifest_of, open_run
from disconerf_ns.scene.tree import DEFAULT

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import TrainerConfig

    from disconerf_ns.evaluation.scores import Comparison, TrueLabels
    from disconerf_ns.evaluation.views import View
    from disconerf_ns.pipeline import DiscoNerfPipeline


@dataclass
class Eval:
    """Score a run's objects, and the 2D masks for comparison, on views with true labels."""

    load_config: Path
    """config.yml of the run."""
    ground_truth: Path | None = None
    """Folder of true labels: one PNG or TIFF with one channel per image, found by the image's path in the dataset."""
    masks: Path | None = None
    """Folder of 2D masks to score beside the field; by default the masks of the run, if they cover the views."""
    save: Path | None = None
    """Folder for the predicted label maps, 16-bit PNGs named after the images, in the images' size whatever --downscale
    is; 0 is no object or the rest, 1 is object_00."""
    output: Path | None = None
    """JSON file of the scores; by default eval_objects.json beside config.yml."""
    granularity: float = DEFAULT
    """How fine the objects are, from 0, the coarsest, to 1, the finest; what a person edited takes no part."""
    split: Literal["test", "train", "all"] = "test"
    """Views to evaluate; "test" are the held-out views."""
    void: tuple[int, ...] | Literal["auto"] | None = "auto"
    """True labels that mean no object, such as `0 255`: no score counts their pixels. None if every label is an object.
    By default they are the negative labels, or 0 where there are none, and 255 if it stands apart from the others."""
    orientation: Orientation = "auto"
    """Picture that labels were drawn on, where a photograph has an EXIF orientation: "upright" as most programs show
    it, or "stored" as its pixels are. "auto" decides by sizes, or else by edges of the photographs."""
    downscale: int = 1
    """Render and score the field at 1 / downscale of the images' size, at least 16 pixels along each side. Saved label
    maps are enlarged to the images' size."""

    def __call__(self) -> None:
        """Render the label map of every view, then save it, score it, or both.

        Raises:
            UserError: the options ask for nothing, the run has no objects or no views, the results cannot be written,
                or files are missing or of another shape.
        """
        self._check_options()
        manifest_of(self.load_config)

        from disconerf_ns.evaluation.label_files import check_label_folder, label_files, said_void

        path = self.output or self.load_config.parent / "eval_objects.json"
        if self.ground_truth is not None:
            check_label_folder(self.ground_truth)
            check_file(path, "name another place for the scores with --output.")
        if self.save is not None:
            check_folder(self.save, "name another place for the label maps with --save.")

        from disconerf_ns.evaluation.predictions import predict_labels
        from disconerf_ns.evaluation.scores import TrueLabels
        from disconerf_ns.evaluation.views import check_downscale, masks_of, views_of
        from disconerf_ns.masks.image_masks import resample
        from disconerf_ns.masks.label_image import write_label_image

        config, pipeline, step = open_run(self.load_config, "test")
        views, truth, compared = views_of(pipeline, self.split), None, {}
        check_downscale("eval: --downscale", self.downscale, views)
        if self.ground_truth is not None:
            files = label_files(self.ground_truth, views, self.orientation)
            truth = TrueLabels(files, masks_of(pipeline, views, self.masks), said_void(files, self.void))
        for index, view in enumerate(track(views, "rendering label maps")):
            predicted = predict_labels(pipeline, view.index, self.downscale, view.split, self.granularity)
            if self.save is not None:
                write_label_image(resample(predicted, view.height, view.width), self.save / f"{view.key}.png")
            if truth is not None:
                compared[view] = truth.compare(index, view, predicted)

        if self.save is not None:
            enlarged = f", enlarged from 1/{self.downscale} of it" if self.downscale > 1 else ""
            print(f"eval: {len(views)} label maps, in the images' size{enlarged}, are in {self.save}")
        if truth is None:
            print("eval: nothing was scored; to score, name a folder of true labels with --ground-truth.")
            return
        write_whole(path, json.dumps(self._scored(config, pipeline, step, truth, compared), indent=2))
        print(f"eval: the scores are in {path}")

    def _scored(
        self,
        config: TrainerConfig,
        pipeline: DiscoNerfPipeline,
        step: int,
        truth: TrueLabels,
        compared: Mapping[View, Comparison],
    ) -> dict[str, Any]:
        """Print the scores; return them together with what they are scores of."""
        from disconerf_ns.evaluation.label_files import listed_void
        from disconerf_ns.evaluation.provenance import machine, versions
        from disconerf_ns.evaluation.scores import report
        from disconerf_ns.scene.edit import Edit

        objects = pipeline.model.current.value.with_edit(Edit().at(self.granularity)).counted
        cut = "default cut" if self.granularity == DEFAULT else "cut"
        print(f"eval: the {objects} objects of the {cut}, at granularity {self.granularity:g}, were scored")
        results = report(compared)
        print_scores(results["scores"], len(compared))
        run = {
            "config": str(self.load_config),
            "method": config.method_name,
            "seed": config.machine.seed,
            "iterations": step + 1,
            "slots": pipeline.model.object_field.slots,
            "objects": objects,
        }
        options = {
            "ground_truth": str(self.ground_truth),
            "masks": None if truth.masks is None else str(truth.masks.root),
            "granularity": self.granularity,
            "split": self.split,
            "void": listed_void(truth.void),
            "orientation": self.orientation,
            "downscale": self.downscale,
        }
        return {"run": run, "options": options, **results, "versions": versions(), "machine": machine()}

    def _check_options(self) -> None:
        check_options("eval", self, granularity=GRANULARITY, downscale=DOWNSCALE, void=LABEL)
        if self.ground_truth is None and self.save is None:
            raise UserError(
                "eval: there is nothing to do; score against true labels with --ground-truth DIR, or write label maps "
                "with --save DIR."
            )
        if self.ground_truth is None and self.masks is not None:
            raise UserError(
                f"eval: the masks in {self.masks} are scored against true labels; name those with --ground-truth DIR."
            )
        if self.ground_truth and self.save and self.save.resolve() == self.ground_truth.resolve():
            raise UserError(
                f"eval: --save would overwrite the true labels in {self.ground_truth}; name another folder."
            )


def print_scores(scores: Mapping[str, Mapping[str, float]], views: int) -> None:
    """A row for the masks, where they were scored, and two for the field; fractions in %, counts as they are."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from disconerf_ns.evaluation.metrics import COUNTS, FRACTIONS

    table = Table(
        title=f"Objects in {views} views", caption=CAPTION, box=SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1)
    )
    table.add_column("", no_wrap=True)
    for name in (*FRACTIONS, *COUNTS):
        table.add_column(name.replace(" (", "\n("), justify="right", no_wrap=True)
    rows = {"masks": "2D masks, per view", "views": "field, per view", "scene": "field, whole scene"}
    for key, title in rows.items():
        if key in scores:
            fractions = [f"{100 * scores[key][name]:.1f}" for name in FRACTIONS]
            table.add_row(title, *fractions, *(f"{scores[key][name]:.4g}" for name in COUNTS))
    Console().print(table)


CAPTION = """in %; IoU (best): with each object's best segment; BD: mean over
predicted segments, BD (truth): over true objects, SBD: the smaller;
splits: objects in pieces; merges: segments of several"""
