"""The outputs of a scene, one table: what each is called, how it is drawn, what it needs, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from disconerf_ns.rendering.edited import EditedRays
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.lazy_outputs import LazyOutputs
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import ObjectId, SceneObject

OVERLAY = 0.6
"""How much of an object's colour is laid over the scene, in [0, 1]."""


class Needs(Enum):
    """Result that a frame needs before an output can be drawn."""

    SCENE = "the whole scene"
    LABELS = "the object that each ray sees"
    EDITED = "the scene under the edit"
    UNSEEN = "what no photograph saw of it"
    ALONE = "one object alone"


class Shown(Enum):
    """How people see an output's numbers."""

    COLORS = "as they are"
    GRAY = "as grey"
    CONFIDENCE = "through nerfstudio's colormap"


@dataclass(frozen=True)
class Output:
    """One output of a scene."""

    name: str
    draw: Callable[[Frame], Float[Tensor, "rays _"]]
    """The values of a frame's rays."""
    needs: Needs = Needs.SCENE
    object: SceneObject | None = None
    """The object that it shows alone."""
    shown: Shown = Shown.COLORS
    outlined: bool = False
    """Whether selected objects are outlined in it."""
    listed: bool = True
    """Whether it is among the names that nerfstudio lists; otherwise it is there for those who know its name."""
    alpha: str | None = None
    """Output that holds its opacity, for images with transparency."""

    @property
    def caption(self) -> str:
        """The name that people see: with the name that a person gave the object."""
        return f"{self.name} {self.object.title}".strip() if self.object else self.name

    def waiting(self, frame: Frame) -> int:
        """Rays that the networks have to be asked about, once or more often, before this can be drawn."""
        all_rays = len(frame.rays)
        rays = {
            Needs.SCENE: lambda: 0,
            Needs.LABELS: lambda: 0 if frame.has_labels else all_rays,
            Needs.EDITED: lambda: frame.rays_to_edit(),
            Needs.UNSEEN: lambda: frame.rays_to_edit(EditedRays.unseen),
            Needs.ALONE: lambda: 0 if self.object is not None and frame.has_alone(self.object.id) else all_rays,
        }
        return rays[self.needs]() if frame.has_images else all_rays

    @property
    def edits(self) -> bool:
        """Whether it shows the edited scene."""
        return self.needs in (Needs.EDITED, Needs.UNSEEN)

    def ids(self, frame: Frame) -> Int[Tensor, "rays"]:
        """The object that each ray of this output shows, for outlines; -1 for none."""
        return frame.seen_ids() if self.needs is Needs.EDITED else frame.labels().id


def output_table(scene: ArrangedScene) -> dict[str, Output]:
    """Every output of a scene by name, in the order in which they are listed."""
    rows = [
        Output("rgb", lambda frame: frame.images()["rgb"], outlined=True),
        *(Output(name, lambda frame, name=name: frame.images()[name]) for name in ("accumulation", "depth")),
        Output("expected_depth", lambda frame: frame.images()["expected_depth"]),
    ]
    if scene.objects:
        rows += [
            Output("objects", Frame.colors, Needs.LABELS, outlined=True),
            Output("objects_overlay", _overlay, Needs.LABELS, outlined=True),
            Output("confidence", _confidence, Needs.LABELS, shown=Shown.CONFIDENCE),
            Output("edited", Frame.edited, Needs.EDITED, outlined=True),
            Output("edited_overlay", _edited_overlay, Needs.EDITED, outlined=True),
            Output("edited_depth", Frame.edited_depth, Needs.EDITED),
            Output("edited_mask", Frame.edited_opacity, Needs.EDITED, shown=Shown.GRAY),
            *([Output("unseen", Frame.unseen, Needs.UNSEEN, shown=Shown.GRAY)] if scene.trained.training_rays else []),
            Output("label", _label, Needs.LABELS, listed=False),
            *(output for each in scene.objects for output in _of_object(each)),
        ]
    return {output.name: output for output in rows}


def drawn_instead(caption: str, before: ArrangedScene, after: ArrangedScene) -> str:
    """The caption of the output that is drawn after an edit where an output was drawn before it.

    It shows the object that holds now what was shown, under the name that it has now, or the edited scene where several
    hold it. `rgb` stands for outputs that neither scene has.
    """
    now = output_table(after)
    output = next((each for each in output_table(before).values() if caption in (each.caption, each.name)), now["rgb"])
    if output.object is None:
        return output.name if output.name in now else "rgb"
    holding = {id: after.by_id[id] for id in _holders(output.object.id, before, after)}
    if len(holding) != 1:
        return "edited" if "edited" in now else "rgb"
    (holder,) = holding.values()
    return now[output.name.replace(output.object.name, holder.name, 1)].caption


def _holders(id: ObjectId, before: ArrangedScene, after: ArrangedScene) -> set[ObjectId]:
    """The objects that hold after an edit what was an object before it."""
    nodes = len(before.trained.tree)
    node = next((node for node in before.edit.split if id in before.edit.part_ids(node, nodes)), id)
    old, new = (scene.edit.part_ids(node, nodes) for scene in (before, after))
    parts = [new[old.index(id)]] if len(old) == len(new) else new
    return {holder for part in parts for holder in after.shown_for(after.merged.get(part, part))}


def frame_outputs(frame: Frame) -> LazyOutputs:
    """Every output of a frame by name, (H, W, C), computed when it is read."""
    return lazily(output_table(frame.scene).values(), lambda output: frame.image(output.draw(frame)))


def lazily(outputs: Iterable[Output], draw: Callable[[Output], Tensor]) -> LazyOutputs:
    """Outputs by name, those that are listed and those that are not."""
    listed: dict[str, Callable[[], Tensor]] = {}
    unlisted: dict[str, Callable[[], Tensor]] = {}
    for output in outputs:
        (listed if output.listed else unlisted)[output.name] = lambda output=output: draw(output)
    return LazyOutputs(listed, unlisted)


def unmixed(rgb: Float[Tensor, "*n 3"], alpha: Float[Tensor, "*n 1"], background: float) -> Float[Tensor, "*n 3"]:
    """Colours of an object that was drawn on a plain background, without the background's share, in [0, 1]."""
    return ((rgb - (1 - alpha) * background) / alpha.clamp(min=1e-3)).clamp(0, 1)


def _overlay(frame: Frame) -> Float[Tensor, "rays 3"]:
    return (1 - OVERLAY) * frame.images()["rgb"] + OVERLAY * frame.colors()


def _edited_overlay(frame: Frame) -> Float[Tensor, "rays 3"]:
    return (1 - OVERLAY) * frame.edited() + OVERLAY * frame.edited_colors()


def _confidence(frame: Frame) -> Float[Tensor, "rays 1"]:
    return frame.labels().confidence[:, None]


def label_numbers(frame: Frame) -> Int[Tensor, "rays"]:
    """Per ray the number of the object that is seen: 1 for object_00 and so on, 0 for the rest and for nothing."""
    numbers = torch.zeros(frame.scene.ids + 1, dtype=torch.long, device=frame.scene.trained.radiance.device)
    for each in frame.scene.objects:
        numbers[each.id] = each.label_number
    return numbers[frame.sure_ids()]


def _label(frame: Frame) -> Float[Tensor, "rays 1"]:
    """Numbers of the objects of the default cut, whatever a person edited."""
    return label_numbers(frame.under(frame.scene.with_edit(Edit()))).float()[:, None]


def _of_object(each: SceneObject) -> list[Output]:
    def part(name: str, id: ObjectId = each.id) -> Callable[[Frame], Tensor]:
        return lambda frame: frame.alone(id)[name]

    mask = f"{each.name}_mask"
    return [
        Output(each.name, part("rgb"), Needs.ALONE, each, alpha=mask),
        Output(mask, part("accumulation"), Needs.ALONE, each, shown=Shown.GRAY, alpha=mask),
        Output(f"{each.name}_depth", part("depth"), Needs.ALONE, each),
    ]
