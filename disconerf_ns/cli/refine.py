"""`disconerf masks refine`: a second round of masks, for objects of a run that the masks of a view do not show."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from disconerf_ns import __version__
from disconerf_ns.cli.making import ELSEWHERE, Work, make_masks
from disconerf_ns.consoles import track
from disconerf_ns.errors import UserError
from disconerf_ns.files import check_folder
from disconerf_ns.masks.freshness import changed
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.prompts import PromptCriteria, Seen, prompts_of, usual_sizes
from disconerf_ns.masks.proposers.sam import SamConfig
from disconerf_ns.masks.proposers.transformers import TransformersConfig
from disconerf_ns.masks.report import describe, measure
from disconerf_ns.masks.say import in_short
from disconerf_ns.masks.second_round import FIRST_NEW, Refinement
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.options import FRACTION, VISIBLE, WEIGHT, check_options
from disconerf_ns.runs import load_pipeline

if TYPE_CHECKING:
    from disconerf_ns.pipeline import DiscoNerfPipeline

GENERATOR = "refine"
"""Generator that manifests of second rounds name."""
DETERMINE = (
    "model", "weights", "checkpoint", "min_predicted_iou", "min_stability", "very_large", "very_large_scale",
)  # fmt: skip
"""Options of the proposer that determine the masks of prompts."""

AnyPromptable = (
    Annotated[SamConfig, tyro.conf.subcommand("sam")]
    | Annotated[TransformersConfig, tyro.conf.subcommand("transformers")]
)


@dataclass
class Refine(Work):
    """Ask again for masks: the objects of a run become boxes and points where a view's masks do not show them.

    The run's masks stay as they are; they and the new masks are written as another set, for
    `ns-train disconerf --pipeline.datamanager.masks SET --pipeline.radiance-field RUN`.
    """

    load_config: Path
    """config.yml of the run."""
    proposer: AnyPromptable = field(default_factory=SamConfig)
    """Model that is prompted."""
    masks: Path | None = None
    """Folder of the masks to complete; by default the run's."""
    output: Path | None = None
    """Folder of the new set; by default the name of the old one with the ending _refined, beside it."""
    shown: float = PromptCriteria.shown
    """Minimum IoU of a mask with an object's picture, in [0, 1], for the mask to show the object."""
    least_share: float = PromptCriteria.least_share
    """Minimum size of an object's picture that gets a prompt, as a fraction of its median size over all views."""
    size: int = 256
    """Pixels of the longer side at which the run is rendered, about."""

    def __call__(self) -> None:
        """Render the run, prompt the model, write the new set and print a summary.

        Raises:
            UserError: an option is out of range, the run has no objects or no masks, the folder cannot be written, the
                model cannot run, or images cannot be read.
        """
        self.check()
        self.proposer.checked()
        run = load_pipeline(self.load_config)
        old = self._old(run)
        store = MaskStore(self.output or old.root.with_name(f"{old.root.name}_refined"))
        if store.root.resolve() == old.root.resolve():
            raise UserError(f"masks: {old.root} has the masks to complete; name another folder with --output.")
        manifest = {"generator": GENERATOR, "version": __version__, "parameters": self._parameters(old)}
        if not self.overwrite:
            store.check_recipe(manifest)
        images = dict(zip(run.datamanager.train_keys, run.datamanager.train_dataset.image_filenames))
        stored = old.files_for([*images, *self._held_out(run)])
        kept = set() if self.overwrite else {key for key in images if store.holds(key)}
        todo = [key for key in images if key not in kept or changed(store, key, images[key])]
        if todo:
            check_folder(store.root, ELSEWHERE)
        jobs = self._jobs(run, old, stored, todo) if todo else []
        broken = make_masks(replace(self.proposer, level=None), jobs, store, manifest, self) if jobs else []
        for key, name in stored.items():
            if key not in images and (self.overwrite or not store.holds(key)):
                known = {fact: value for fact, value in old.about(name).items() if fact != "path"}
                store.save(key, old.load(name), known)
        print(describe(store.root, measure(store, store.keys())))
        new = sum(len(store.load(key)) - store.about(key).get(FIRST_NEW, 0) for key in images if store.holds(key))
        print(f"  new        {new} masks of objects that the masks in {old.root} do not show")
        if broken:
            raise UserError(f"masks: {len(broken)} of {len(images)} images have failed: {in_short(broken)}")

    def check(self) -> None:
        """Refuse options that are out of range.

        Raises:
            UserError: one is; the sentence names it.
        """
        super().check()
        check_options("masks", self, shown=FRACTION, least_share=WEIGHT, size=VISIBLE)

    def _old(self, run: DiscoNerfPipeline) -> MaskStore:
        """The masks to complete; where the run names none, the newest set, or the one that this was completed from."""
        if self.masks is not None:
            return MaskStore.open(self.masks)
        store = run.datamanager.store
        again = run.config.datamanager.masks is None and store.manifest.get("generator") == GENERATOR
        return MaskStore.open(Path(store.manifest["parameters"]["masks"])) if again else store

    def _parameters(self, old: MaskStore) -> dict[str, Any]:
        """Run, old masks and options, for the manifest."""
        own = {"shown": self.shown, "least_share": self.least_share, "size": self.size, "dilate": _dilate(old)}
        where = {"run": str(self.load_config.resolve()), "masks": str(old.root.resolve())}
        recipe = self.proposer.recipe()
        return {**where, **own, **{name: recipe[name] for name in DETERMINE if name in recipe}}

    @staticmethod
    def _held_out(run: DiscoNerfPipeline) -> list[str]:
        from disconerf_ns.evaluation.views import views_of

        try:
            return [view.key for view in views_of(run)]
        except UserError:
            return []

    def _jobs(
        self, run: DiscoNerfPipeline, old: MaskStore, stored: dict[str, str], todo: list[str]
    ) -> list[Refinement]:
        """Prompts for each image. All views are rendered first, because an object's sizes in them are compared."""
        keys, cameras = run.datamanager.train_keys, run.datamanager.train_dataset.cameras
        seen = dict(zip(keys, rendered(run, self.size)))
        usual, wanted = usual_sizes(chain.from_iterable(seen.values())), PromptCriteria(self.shown, self.least_share)
        jobs = []
        for index, key in enumerate(keys):
            if key not in todo:
                continue
            image, cuts = run.datamanager.train_dataset.image_filenames[index], seen[key]
            size = int(cameras.height[index]), int(cameras.width[index])
            masks = old.load(stored[key]) if key in stored else ImageMasks(*size, ())
            shape = cuts[0].labels.shape
            prompts = prompts_of(cuts, masks.decode(*shape), masks.decode_looked_at(*shape), usual, wanted)
            jobs.append(Refinement(key, image, masks, prompts, _dilate(old)))
        count = sum(len(job.prompts) for job in jobs)
        print(f"masks: {count} pictures of objects in {len(jobs)} images have no mask that shows them")
        return jobs


def _dilate(masks: MaskStore) -> int:
    """Pixels by which the masks of a set were grown."""
    return masks.manifest.get("parameters", {}).get("dilate", 0)


def rendered(run: DiscoNerfPipeline, size: int) -> list[tuple[Seen, ...]]:
    """The objects that a run sees in every training view, from the pose that it found.

    Where there are objects of several sizes, these are those of the default cut and the finest ones.

    Args:
        size: pixels of the longer side, about.
    """
    from disconerf_ns.evaluation.predictions import frame_of_view
    from disconerf_ns.evaluation.views import photographs_of
    from disconerf_ns.rendering.outputs import label_numbers
    from disconerf_ns.scene.edit import Edit
    from disconerf_ns.scene.tree import DEFAULT

    cameras, views = photographs_of(run, "train"), []
    finest = () if run.model.current.value.trained.tree.is_flat else (1.0,)
    for index in track(range(len(cameras)), "rendering objects"):
        longest = max(int(cameras.height[index]), int(cameras.width[index]))
        frame, cuts = frame_of_view(run, index, max(round(longest / size), 1), "train"), []
        frame.images()
        for granularity in (DEFAULT, *finest):
            cut = frame.under(frame.scene.with_edit(Edit().at(granularity)))
            images = (cut.image(values)[..., 0].cpu() for values in (label_numbers(cut), cut.labels().confidence))
            cuts.append(Seen(*(image.numpy() for image in images)))
        views.append(tuple(cuts))
    return views
