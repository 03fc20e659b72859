"""The images of one camera, each computed when it is first asked for.

A frame belongs to one arranged scene. The same camera's frame of another edit (`under`) takes over what the edit leaves
as it was: colours are mixed anew from the samples that the rays met.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from torch import Tensor

from disconerf_ns.rendering import alone, left
from disconerf_ns.rendering.edited import EditedRays, PlacedSamples, place
from disconerf_ns.rendering.labels import Labels
from disconerf_ns.rendering.sampled import SampledRays
from disconerf_ns.rendering.strategy import Exact, Strategy
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId

HIDDEN = (0.1, 0.1, 0.1)
"""Colour of hidden objects where objects are drawn in their colours."""


TOGETHER = EditedRays.rgb, EditedRays.depth, EditedRays.opacity, EditedRays.visible_ids
"""What is seen of edited rays from the same samples, without any network."""


def together_with(see: Callable[[EditedRays], Tensor]) -> tuple[Callable[[EditedRays], Tensor], ...]:
    """Quantities that come from the same samples: whoever asks for one of them has all computed."""
    return TOGETHER if see in TOGETHER else (see,)


@dataclass(eq=False)
class Frame(SampledRays):
    """One camera's view of an arranged scene."""

    strategy: Strategy = field(default_factory=Exact)
    """How objects are looked up."""
    _preview: Frame | None = field(default=None, init=False, repr=False)

    @classmethod
    def seen_by(
        cls, scene: ArrangedScene, camera: Cameras, keep: bool = False, obb_box: OrientedBox | None = None
    ) -> Frame:
        """The frame of one camera, n = 1, of the part of the scene in a box where there is one."""
        rays = camera.to(scene.trained.radiance.device).generate_rays(0, keep_shape=True, obb_box=obb_box)
        return cls(scene, rays.flatten(), tuple(rays.origins.shape[:2]), keep)

    def previewed(self, strategy: Strategy) -> Frame:
        """The same frame with another strategy; what that computes does not get into this frame."""
        if self._preview is None or self._preview.strategy != strategy:
            self._preview = replace(self, strategy=strategy, kept=self.kept.layered())
        return self._preview

    # ---------------------------------------------------------------- images of objects, flat

    def labels(self) -> Labels:
        """The object that each ray sees."""
        return self.strategy.labels(self)

    def sure_ids(self) -> Int[Tensor, "rays"]:
        """The id of the object that each ray sees; -1 where there is none, or confidence is below the limit."""
        labels = self.labels()
        return torch.where(labels.confidence >= self.scene.options.min_confidence, labels.id, -1)

    def colors(self) -> Float[Tensor, "rays 3"]:
        """The colours of the objects; black where there is none or the rest, or confidence is below the limit."""
        return self._object_colors()[self.sure_ids()] * self.labels().opacity[:, None]

    def _object_colors(self) -> Float[Tensor, "ids 3"]:
        """The colour of every id; black for the rest, guests, and at the end nobody."""
        scene, device = self.scene, self.scene.trained.radiance.device
        table = torch.zeros(scene.ids + len(scene.guests) + 1, 3, device=device)
        for each in scene.objects:
            if each.number is not None:
                color = HIDDEN if each.id in scene.edit.hidden else each.color
                table[each.id] = torch.tensor(color, device=device)
        return table

    def alone(self, id: ObjectId) -> dict[str, Tensor]:
        """One object on a plain background: `rgb` in the edit's colour, `accumulation` and `depth`."""
        render = lambda rays: alone.render_object(self.scene, rays, id)
        return self.once(f"alone {id}", self._alone_key(id), lambda: self.in_chunks(render))

    def has_alone(self, id: ObjectId) -> bool:
        """Whether the object's own images are kept."""
        return self.has(f"alone {id}", self._alone_key(id))

    def _alone_key(self, id: ObjectId) -> Hashable:
        options = self.scene.options
        return self.scene.ownership, self.scene.edit.colors.get(id), options.background, options.object_samples

    # ---------------------------------------------------------------- images of the edited scene, flat

    def edited(self) -> Float[Tensor, "rays 3"]:
        """The scene under the edit."""
        if not self.scene.repaints:
            return self.images()["rgb"]
        return self._of_edited(EditedRays.rgb)

    def edited_depth(self) -> Float[Tensor, "rays 1"]:
        """Distance of what is seen under the edit."""
        return self._of_edited(EditedRays.depth)

    def edited_opacity(self) -> Float[Tensor, "rays 1"]:
        """Opacity under the edit."""
        return self._of_edited(EditedRays.opacity)

    def edited_ids(self) -> Int[Tensor, "rays"]:
        """Per ray the id that weighs most under the edit; -1 where little is left; above the scene's ids for guests."""
        return self._of_edited(EditedRays.visible_ids)

    def seen_ids(self) -> Int[Tensor, "rays"]:
        """Per ray the id of the object that `edited` shows; -1 for none."""
        return self.edited_ids() if self.scene.repaints else self.labels().id

    def edited_colors(self) -> Float[Tensor, "rays 3"]:
        """The colours of the objects where `edited` shows them; black where there is none, the rest or a guest."""
        if not self.scene.repaints:
            return self.colors()
        return self._object_colors()[self.edited_ids()] * self.edited_opacity()

    def unseen(self) -> Float[Tensor, "rays 1"]:
        """How much of what is seen under the edit lies where no photograph looked, in [0, 1]."""
        return self._of_edited(EditedRays.unseen)

    def rays_to_edit(self, see: Callable[[EditedRays], Tensor] = EditedRays.rgb) -> int:
        """Rays that the networks have to be asked about before what is seen of the edited scene can be drawn."""
        if see is EditedRays.rgb and not self.scene.repaints:
            return 0
        if not self.remembers_owners:
            return 0 if self.has(f"edited {together_with(see)}", self._edited_key) else len(self.rays)
        if not self.knows_owners or not self.scene.reveals_at_once:
            return len(self.rays)
        if not all(map(self.has_placed, range(len(self.scene.placements)))):
            return len(self.rays)
        return len(self.start(self.unedited).affected)

    def placed(self) -> tuple[PlacedSamples, ...]:
        """Samples along the rays of each object that stands somewhere else."""
        return tuple(self.strategy.place(self, number) for number in range(len(self.scene.placements)))

    def _of_edited(self, see: Callable[[EditedRays], Tensor]) -> Tensor:
        """What is seen of the edited rays: from samples that are kept, or else together with all that comes with it."""
        if self.strategy.remembers(self):
            return see(self._remembered())
        together = together_with(see)
        compute = lambda: self.in_chunks(lambda rays: self._see(rays, together))
        return self.once(f"edited {together}", self._edited_key, compute)[together.index(see)]

    @property
    def _edited_key(self) -> Hashable:
        edit, options = self.scene.edit, self.scene.options
        shown = options.background, options.complete, options.clean
        looks = tuple(edit.colors.items()), self.scene.guests, shown
        return self.scene.ownership, edit.absent, self.placements_key, looks

    def _remembered(self) -> EditedRays:
        """The edited rays, from samples that are kept."""
        shown, owned = self.strategy.shown(self.scene), self.strategy.edited(self)
        colors = owned.samples.rgb
        if shown.revealed.gone:
            key = self.strategy, shown.ownership, shown.edit.absent, shown.revealed.key
            colors = self.once("own colours", key, lambda: left.own_colors(shown, owned))
        return EditedRays(shown, owned.samples._replace(rgb=colors), owned.ids, self.placed())

    def _see(self, rays: RayBundle, together: Sequence[Callable[[EditedRays], Tensor]]) -> list[Tensor]:
        edited = self._edited(rays)
        return [see(edited) for see in together]

    def _edited(self, rays: RayBundle) -> EditedRays:
        """The edited rays, sampled anew."""
        placed = tuple(place(each, rays) for each in self.scene.placements)
        owned = left.sample_edited(self.scene, rays)
        samples = owned.samples._replace(rgb=left.own_colors(self.scene, owned))
        return EditedRays(self.scene, samples, owned.ids, placed)
