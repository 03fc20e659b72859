"""`disconerf objects name`: name objects by an image-text model that looks at their best photographs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from disconerf_ns.consoles import progress
from disconerf_ns.errors import UserError
from disconerf_ns.files import write_whole
from disconerf_ns.options import COUNT, FRACTION, GRANULARITY, check_options
from disconerf_ns.runs import EditedRun, edit_of, manifest_of
from disconerf_ns.scene.objects import ObjectId, SceneObject, load_manifest
from disconerf_ns.small_json import small_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from disconerf_ns.facts.image_text import ImageTextModel
    from disconerf_ns.facts.measure import Measured
    from disconerf_ns.facts.naming import GivenName
    from disconerf_ns.pipeline import DiscoNerfPipeline
    from disconerf_ns.scene.arranged import ArrangedScene

NAMES = "names.json"
"""File of the names that a model gave, beside config.yml, with their scores."""
MASK_RAYS = 20_000
"""Rays, about, of the masks that crops are made with."""


@dataclass
class Name:
    """Name objects by an image-text model (CLIP, SigLIP; extra `transformers`) and a list of words.

    The model looks at crops of each object's best photographs, which are blurred around the object. Names that a
    person gave stay.
    """

    load_config: Path
    """config.yml of the run."""
    vocabulary: Path
    """Text file with one word, or a few, a line: the names that objects can get."""
    checkpoint: str = "openai/clip-vit-large-patch14"
    """Name of the model on Hugging Face's hub, which is fetched once, or a folder that holds the model."""
    objects: tuple[str, ...] = ()
    """Numbers or names of the objects to name; by default all."""
    granularity: float | None = None
    """How fine objects are, from 0, the coarsest, to 1; by default as saved in the viewer, or else 0.5."""
    views: int = 5
    """Most photographs of each object that the model looks at."""
    least_score: float = 0.3
    """Score in [0, 1], the softmax over all words, below which an object gets no name."""
    sentence: str = "a photo of a {}"
    """Text that the model compares with a crop; {} stands for the word."""
    overwrite: bool = False
    """Replace names that a person gave too."""

    def __call__(self) -> None:
        """Look, name, and save the edit.

        Raises:
            UserError: an option is out of range, the words or the model cannot be read, or no object can be named.
        """
        check_options("objects", self, granularity=GRANULARITY, views=COUNT, least_score=FRACTION)
        if self.sentence.count("{}") != 1:
            raise UserError(f"objects: --sentence is {self.sentence!r}; it has to have one {{}} for the word.")
        from disconerf_ns.facts.naming import read_words

        words, tree = read_words(self.vocabulary), load_manifest(manifest_of(self.load_config)).tree
        edited, earlier = EditedRun(self.load_config, self.granularity), given_names(self.load_config)
        chosen = edited.find(self.objects)

        from disconerf_ns.cli.history import History
        from disconerf_ns.cli.measured import kept_of, measure_and_keep
        from disconerf_ns.facts.image_text import ImageTextModel

        run = edited.pipeline
        model = ImageTextModel(self.checkpoint, run.device)
        scene = run.model.current.value
        todo = self._to_name([scene.find(each.name) for each in chosen] or scene.objects, earlier)
        measured = measure_and_keep(run, scene, kept_of(self.load_config))
        found = self._look(run, scene, model, todo, measured, words)
        if found:
            named = edit_of(self.load_config, tree)
            for id, given in found.items():
                named = named.rename(id, given.name)
            History(self.load_config, tree).change(named)
            _keep_names(self.load_config, {**earlier, **found}, self.checkpoint)
        for each in todo:
            given = found.get(each.id)
            said = f"is called {given.name} now, score {given.score:.2f}" if given else "gets no name: no word fits"
            print(f"objects: {each.name} {said}.")

    def _to_name(self, chosen: Sequence[SceneObject], earlier: Mapping[ObjectId, GivenName]) -> list[SceneObject]:
        """The chosen objects that have no name, or one that a model gave, or all with `overwrite`; never the rest.

        Raises:
            UserError: there is none.
        """
        numbered = [each for each in chosen if each.number is not None]
        by_model = {id: given.name for id, given in earlier.items()}
        todo = [each for each in numbered if self.overwrite or not each.title or by_model.get(each.id) == each.title]
        if not todo:
            raise UserError("objects: every object has a name that a person gave; pass --overwrite to replace them.")
        return todo

    def _look(
        self,
        run: DiscoNerfPipeline,
        scene: ArrangedScene,
        model: ImageTextModel,
        todo: Sequence[SceneObject],
        measured: Mapping[ObjectId, Measured],
        words: Sequence[str],
    ) -> dict[ObjectId, GivenName]:
        """The name of each object that a word fits."""
        from disconerf_ns.facts.naming import GivenName, best_word, numbered

        views = {each.id: [sight.view for sight in measured[each.id].best_views[: self.views]] for each in todo}
        crops = _crops(run, scene, views)
        sentences = [self.sentence.format(word) for word in words]
        best = {}
        with progress("naming objects", len(todo)) as advance:
            for each in todo:
                if crops[each.id]:
                    scores = model.scores(crops[each.id], sentences).numpy()
                    best[each.id] = best_word(scores, words, self.least_score)
                advance()
        fitting = {id: found for id, found in best.items() if found is not None}
        anew = {each.id for each in todo}
        taken = {each.title for each in (*scene.all_objects, *scene.objects) if each.id not in anew}
        names = numbered({id: word for id, (word, _) in fitting.items()}, taken)
        return {id: GivenName(names[id], word, score, tuple(views[id])) for id, (word, score) in fitting.items()}


def _crops(
    run: DiscoNerfPipeline, scene: ArrangedScene, views: Mapping[ObjectId, Sequence[str]]
) -> dict[ObjectId, list[np.ndarray]]:
    """Crops of the photographs around each object; each photograph is read, and its view rendered, once."""
    from disconerf_ns.facts.crops import crop_around
    from disconerf_ns.facts.views import photographs, training_frame
    from disconerf_ns.masks.images import read_image

    crops: dict[ObjectId, list[np.ndarray]] = {id: [] for id in views}
    dataset = run.datamanager.train_dataset
    wanted = {name for names in views.values() for name in names}
    with progress("cutting objects out", len(wanted)) as advance:
        for index, name in enumerate(photographs(run)):
            if name not in wanted:
                continue
            frame = training_frame(run, scene, index, MASK_RAYS)
            ids = frame.image(frame.labels().id)[..., 0].cpu().numpy()
            photograph = read_image(dataset.image_filenames[index])
            for id, names in views.items():
                if name in names and (ids == id).any():
                    crops[id].append(crop_around(photograph, ids == id))
            advance()
    return crops


def given_names(config: Path) -> dict[ObjectId, GivenName]:
    """The names that a model gave objects of a run, by id; none if the file is not there."""
    from disconerf_ns.facts.naming import GivenName

    path = config.parent / NAMES
    if not path.exists():
        return {}
    with small_json(path, "the names that a model gave", "move it away.") as content:
        return {
            ObjectId(int(id)): GivenName(
                row["name"].text(),
                row["word"].text(),
                row["score"].number(0, 1.001),
                tuple(view.text() for view in row["views"].list()),
            )
            for id, row in content["names"].items()
        }


def _keep_names(config: Path, names: Mapping[ObjectId, GivenName], checkpoint: str) -> None:
    rows = {str(id): given._asdict() for id, given in names.items()}
    write_whole(config.parent / NAMES, json.dumps({"model": checkpoint, "names": rows}, indent=1))
