"""The images of one camera, each computed when it is first asked for.

A frame belongs to one arranged scene. The same camera's frame of another edit (`under`) takes over what the edit leaves
as it was: colours are mixed anew from the samples that the rays met, and only the rays that met something whose density
changed are sampled again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from torch import Tensor

from disconerf_ns.rendering import alone, left
from disconerf_ns.rendering import rays as tracing
from disconerf_ns.rendering.edited import EditedRays, PlacedSamples, place
from disconerf_ns.rendering.kept import Entry, Kept
from disconerf_ns.rendering.labels import Labels, label_pixels
from disconerf_ns.rendering.left import OwnedSamples, Start
from disconerf_ns.rendering.rays import ColoredSamples
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId

HIDDEN = (0.1, 0.1, 0.1)
"""Colour of hidden objects where objects are drawn in their colours."""


TOGETHER = EditedRays.rgb, EditedRays.depth, EditedRays.opacity, EditedRays.visible_ids
"""What is seen of edited rays from the same samples, without any network."""


@runtime_checkable
class Strategy(Protocol):
    """How a frame finds out what takes long: exactly, or as a preview."""

    def labels(self, frame: Frame) -> Labels:
        """The object that each ray sees."""
        ...

    def shown(self, scene: ArrangedScene) -> ArrangedScene:
        """The scene as its edit is shown."""
        ...

    def edited(self, frame: Frame) -> OwnedSamples:
        """Samples that the rays of a frame that keeps samples meet under the edit, of what was not moved."""
        ...

    def place(self, frame: Frame, number: int) -> PlacedSamples:
        """Samples that the rays meet of one of the scene's placements, by its number."""
        ...


class Frame:
    """One camera's view of an arranged scene.

    Args:
        scene: the scene.
        rays: the camera's rays, flat.
        shape: (height, width) of the images, or the number of rays.
        keep: hold the rays' samples, so that the images of another edit come quickly; 200 bytes a ray and more.
        strategy: how objects are looked up; exactly by default.
    """

    def __init__(
        self,
        scene: ArrangedScene,
        rays: RayBundle,
        shape: tuple[int, ...],
        keep: bool = False,
        strategy: Strategy | None = None,
    ):
        self.scene, self.rays, self.shape, self.keep = scene, rays, shape, keep
        self.strategy = strategy or Exact()
        self._kept = Kept()
        self._preview: Frame | None = None

    @classmethod
    def seen_by(
        cls, scene: ArrangedScene, camera: Cameras, keep: bool = False, obb_box: OrientedBox | None = None
    ) -> Frame:
        """The frame of one camera, n = 1, of the part of the scene in a box where there is one."""
        rays = camera.to(scene.trained.radiance.device).generate_rays(0, keep_shape=True, obb_box=obb_box)
        return cls(scene, rays.flatten(), tuple(rays.origins.shape[:2]), keep)

    def under(self, scene: ArrangedScene) -> Frame:
        """The same camera's frame of another arranged scene; what is still valid there is taken over."""
        if scene is self.scene:
            return self
        frame = Frame(scene, self.rays, self.shape, self.keep, self.strategy)
        frame._kept = self._kept.copied()
        return frame

    def previewed(self, strategy: Strategy) -> Frame:
        """The same frame with another strategy; what that computes does not get into this frame."""
        if self._preview is None or self._preview.strategy != strategy:
            frame = Frame(self.scene, self.rays, self.shape, self.keep, strategy)
            frame._kept = self._kept.layered()
            self._preview = frame
        return self._preview

    def at(self, rays: Int[Tensor, "some"], shape: tuple[int, ...]) -> Frame:
        """The frame of some of the rays, by index; what is kept of them is taken over."""
        frame = Frame(self.scene, self.rays[rays.to(self.rays.origins.device)], shape, self.keep, self.strategy)
        frame._kept = self._kept.at(rays)
        return frame

    def joined(self, parts: Sequence[Frame], rays: Sequence[Int[Tensor, "_"]]) -> Frame:
        """This frame with what all of its parts keep instead of what it keeps itself.

        Args:
            parts: frames of some of the rays each, of the same scene, that have all rays together.
            rays: the indices of each part's rays.
        """
        frame = Frame(parts[0].scene, self.rays, self.shape, self.keep, self.strategy)
        frame._kept = Kept.joined([part._kept for part in parts], rays)
        return frame

    # ---------------------------------------------------------------- what is kept

    def once(self, name: str, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Compute a result, unless it is kept under the same key: `key` is all that it depends on."""
        if not self.has(name, key):
            with self.scene.trained.radiance.still():
                self._kept.put(name, key, compute())
        return self._kept.entries[name].result

    def has(self, name: str, key: Hashable) -> bool:
        """Whether a result is kept under the same key."""
        return self._kept.has(name, key)

    def chunks(self, render: Callable[[RayBundle], Any]) -> list[Any]:
        """Apply `render` to all rays, a number of them at a time."""
        size, device = self.scene.options.rays_at_once, self.scene.trained.radiance.device
        return [render(self.rays[i : i + size].to(device)) for i in range(0, len(self.rays), size)]

    # ---------------------------------------------------------------- images, flat

    def images(self) -> dict[str, Tensor]:
        """nerfacto's images of the whole scene, and the points at which objects are looked up."""
        return self._scene()[0]

    def _scene(self) -> tuple[dict[str, Tensor], ColoredSamples | None]:
        count = self.scene.options.surface_points

        def compute():
            parts = self.chunks(self._render_scene)
            images, samples = zip(*parts)
            return _joined(images), ColoredSamples.cat(samples) if self.keep else None

        return self.once("scene", (self.scene.trained, count), compute)

    def _render_scene(self, rays: RayBundle) -> tuple[dict[str, Tensor], ColoredSamples | None]:
        images, samples = tracing.render_scene(self.scene.trained.radiance, rays, self.scene.options.surface_points)
        return images, samples if self.keep else None

    def labels(self) -> Labels:
        """The object that each ray sees."""
        return self.strategy.labels(self)

    @property
    def has_labels(self) -> bool:
        """Whether `labels` are kept."""
        return self.has("labels", self.labels_key)

    @property
    def labels_key(self) -> Hashable:
        """The values from which labels are computed; equal ones have equal labels."""
        return self.scene.ownership, self.scene.options.surface_points

    def sure_ids(self) -> Int[Tensor, "rays"]:
        """The id of the object that each ray sees; -1 where there is none, or confidence is below the limit."""
        labels = self.labels()
        return torch.where(labels.confidence >= self.scene.options.min_confidence, labels.id, -1)

    def colors(self) -> Float[Tensor, "rays 3"]:
        """The colours of the objects; black where there is none or the rest, or confidence is below the limit."""
        device = self.scene.trained.radiance.device
        table = torch.zeros(self.scene.ids + 1, 3, device=device)
        for each in self.scene.objects:
            if each.number is None:
                continue
            color = HIDDEN if each.id in self.scene.edit.hidden else each.color
            table[each.id] = torch.tensor(color, device=device)
        return table[self.sure_ids()] * self.labels().opacity[:, None]

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

    def unseen(self) -> Float[Tensor, "rays 1"]:
        """How much of what is seen under the edit lies where no photograph looked, in [0, 1]."""
        return self._of_edited(EditedRays.unseen)

    def _of_edited(self, see: Callable[[EditedRays], Tensor]) -> Tensor:
        """What is seen of the edited rays: from samples that are kept, or else together with all that comes with it."""
        if self.remembers_owners:
            return see(self._remembered())
        together = TOGETHER if see in TOGETHER else (see,)
        edit, options = self.scene.edit, self.scene.options
        shown = options.background, options.complete, options.clean
        looks = tuple(edit.colors.items()), self.scene.guests, shown
        key = self.scene.ownership, edit.absent, self.placements_key, looks

        def compute() -> list[Tensor]:
            return [torch.cat(parts) for parts in zip(*self.chunks(lambda rays: self._see(rays, together)))]

        return self.once(f"edited {together}", key, compute)[together.index(see)]

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
        placed = tuple(place(each, rays) for each in self.scene.placements)
        owned = left.sample_edited(self.scene, rays)
        samples = owned.samples._replace(rgb=left.own_colors(self.scene, owned))
        return EditedRays(self.scene, samples, owned.ids, placed)

    def placed(self) -> tuple[PlacedSamples, ...]:
        """What the rays meet of each object that stands somewhere else."""
        return tuple(self.strategy.place(self, number) for number in range(len(self.scene.placements)))

    def has_placed(self, number: int) -> bool:
        """Whether the samples of a placement, by its number, are kept."""
        return self.has(f"placed {number}", self.placements_key[number])

    @property
    def placements_key(self) -> tuple[Hashable, ...]:
        """What the samples of each placement depend on."""
        placed = self.scene.placements
        return tuple(
            (each.scene.ownership, each.scene.options.clean, each.scene.options.complete, each.id, each.place)
            for each in placed
        )

    def alone(self, id: ObjectId) -> dict[str, Tensor]:
        """One object on a plain background: `rgb` in the edit's colour, `accumulation` and `depth`."""
        scene = self.scene
        return self.once(
            f"alone {id}",
            self._alone_key(id),
            lambda: _joined(self.chunks(lambda rays: alone.render_object(scene, rays, id))),
        )

    def has_alone(self, id: ObjectId) -> bool:
        """Whether the object's own images are kept."""
        return self.has(f"alone {id}", self._alone_key(id))

    def _alone_key(self, id: ObjectId) -> Hashable:
        options = self.scene.options
        return self.scene.ownership, self.scene.edit.colors.get(id), options.background, options.object_samples

    # ---------------------------------------------------------------- samples and their owners

    @property
    def remembers_owners(self) -> bool:
        """Whether edits are answered from samples that are kept with their owners."""
        return self.keep and self.scene.options.extraction == "hard"

    @property
    def knows_owners(self) -> bool:
        """Whether such samples are at hand."""
        return self.remembers_owners and self.has("owners", self.scene.ownership)

    def scene_samples(self) -> ColoredSamples:
        """Samples that the rays of a frame that keeps samples meet in the scene as it is."""
        samples = self._scene()[1]
        if samples is None:
            raise ValueError("this frame keeps no samples")
        return samples

    def unedited(self) -> OwnedSamples:
        """Samples that the rays of a frame that keeps samples meet in the scene as it is, and their owners."""
        samples = self.scene_samples()
        return OwnedSamples(
            samples, self.once("owners", self.scene.ownership, lambda: self.scene.owners(samples.positions))
        )

    def start(self, unedited: Callable[[], OwnedSamples]) -> Start:
        """Samples that are at hand, and the rays that have to be sampled again without what is hidden.

        If more is hidden than in the last edit, its samples are the start; otherwise the scene's own are. Objects that
        weigh too little alone count together, so that the way to an edit makes no difference.

        Args:
            unedited: gives the scene's own samples.
        """
        before, now = self._kept.entries.get("edited"), self._settling
        if before is None or not isinstance(before.key, _Settling) or not before.key.leads_to(now):
            before = Entry(None, unedited())
        owned: OwnedSamples = before.result
        met = owned.seen(self.scene.table.density < 1)
        if before.key == now:
            return Start(owned, met, torch.zeros_like(met))
        return Start(owned, met, self.once("thinned", (before.key, now), lambda: left.thinned(self.scene, owned)))

    @property
    def _settling(self) -> _Settling:
        hidden = (self.scene.table.density < 1).nonzero()[:, 0]
        return _Settling(self.scene.ownership, self.scene.revealed.key, frozenset(hidden.tolist()))

    def settle(self, owned: OwnedSamples) -> OwnedSamples:
        """Keep what the rays meet under the edit, as a start for further edits."""
        self._kept.put("edited", self._settling, owned)
        return owned

    def resample(self, rays: Int[Tensor, "some"]) -> OwnedSamples:
        """Samples that some rays, by index, meet under the edit, and their owners."""
        with self.scene.trained.radiance.still():
            chosen = self.rays[rays.to(self.rays.origins.device)].to(self.scene.trained.radiance.device)
            return left.sample_edited(self.scene, chosen)

    # ---------------------------------------------------------------- how much there is to do

    @property
    def has_images(self) -> bool:
        """Whether the whole scene's images are kept."""
        return self.has("scene", (self.scene.trained, self.scene.options.surface_points))

    def rays_to_edit(self) -> int:
        """Rays that the networks have to be asked about before the edited scene can be drawn."""
        if not self.scene.repaints:
            return 0
        if not self.knows_owners or not self.scene.reveals_at_once:
            return len(self.rays)
        if not all(map(self.has_placed, range(len(self.scene.placements)))):
            return len(self.rays)
        return len(self.start(self.unedited).affected)

    def image(self, flat: Shaped[Tensor, "rays *c"]) -> Shaped[Tensor, "..."]:
        """An image of the frame's shape on the rays' device."""
        return flat.to(self.rays.origins.device).reshape(*self.shape, -1)


class _Settling(NamedTuple):
    """The key of samples that were drawn under an edit: all that they depend on."""

    ownership: Hashable
    revealed: Hashable
    """`Revealed.key` of the edit."""
    hidden: frozenset[int]
    """Ids that are hidden, at least in part."""

    def leads_to(self, other: _Settling) -> bool:
        """Whether the samples can be the start of another edit's, which hides no less of the same objects."""
        return self._replace(hidden=other.hidden) == other and self.hidden <= other.hidden


@dataclass(frozen=True)
class Exact:
    """Objects are looked up at all surface points, edits on all rays that they change."""

    def labels(self, frame: Frame) -> Labels:
        """The object that each ray sees, from all of its surface points."""

        def compute() -> Labels:
            images = frame.images()
            return label_pixels(frame.scene, images["points"], images["surface_opacity"])

        return frame.once("labels", frame.labels_key, compute)

    def shown(self, scene: ArrangedScene) -> ArrangedScene:
        """The scene itself."""
        return scene

    def place(self, frame: Frame, number: int) -> PlacedSamples:
        """Samples of all rays."""
        each, key = frame.scene.placements[number], frame.placements_key[number]
        return frame.once(f"placed {number}", key, lambda: place(each, frame.rays))

    def edited(self, frame: Frame) -> OwnedSamples:
        """Samples that the rays meet under the edit; rays that met something hidden are sampled again."""
        start = frame.start(frame.unedited)
        owned, affected = start.owned, start.affected
        if len(affected) > 0:
            owned = owned.replaced(affected, frame.resample(affected))
        return frame.settle(owned)


def _joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
