"""A scene for timing, of any size: a wavy sphere divided into objects, seen in patches, with exact masks.

The learned objects are of no interest; points lie on a surface, neighbouring pixels hit neighbouring places, and masks
are as large as objects, which is what time and memory depend on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from nerfstudio.data.scene_box import SceneBox
from torch import Tensor
from torch.nn.functional import normalize

from disconerf_ns.config import DiscoNerfModelConfig
from disconerf_ns.discovery.consensus import Consensus
from disconerf_ns.discovery.explanation import Explanation
from disconerf_ns.field import ObjectFieldConfig
from disconerf_ns.masks.masked_view import MaskedView, pack
from disconerf_ns.method import disconerf
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.training.batch import ObjectBatch
from disconerf_ns.training.scene_rays import SceneRays


@dataclass
class Size:
    """Numbers that the object stage's time depends on; these are the reference scene's (Mip-NeRF 360 "kitchen")."""

    views: int = 279
    """Training views."""
    height: int = 519
    """Rows of an object image."""
    width: int = 779
    """Columns of an object image."""
    masks: int = 60
    """Masks of every view, K."""
    slots: int = 120
    """Object slots, N."""
    points: int = 2
    """Surface points of a ray."""
    views_per_batch: int = 5
    """Whole views in one iteration, B, where masks are matched view by view or no rays are drawn."""
    field: ObjectFieldConfig = field(default_factory=ObjectFieldConfig)
    """Size of the object field."""
    rays_per_batch: int = disconerf.config.pipeline.datamanager.rays_per_batch
    """Rays of one iteration where masks are matched by scene; 0 takes whole views."""


def look(direction: Float[Tensor, "3"], size: Size) -> Float[Tensor, "rays 3"]:
    """Unit vectors to the points of the sphere that a view in some direction shows, row by row."""
    device = direction.device
    rows = torch.linspace(-0.6, 0.6, size.height, device=device) * size.height / size.width
    columns = torch.linspace(-0.6, 0.6, size.width, device=device)
    up, aside = torch.linalg.qr(torch.stack([direction, *torch.eye(3, device=device)[:2]], 1))[0].T[1:]
    return normalize(direction + rows[:, None, None] * up + columns[:, None] * aside, dim=-1).flatten(0, 1)


def wavy(towards: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Points of the surface in the unit cube."""
    radius = 0.3 + 0.03 * (20 * towards).sin().prod(-1, keepdim=True)
    return 0.5 + radius * towards


class Synthetic:
    """The scene, with a model whose object field learns it."""

    def __init__(self, size: Size, by_scene: bool = True, seed: int = 0):
        """Make it.

        Args:
            size: how large it is.
            by_scene: masks are explained by a consensus; otherwise matched in each view at every iteration.
            seed: of directions, objects, and the model.
        """
        torch.manual_seed(seed)
        self.size = size
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.objects = normalize(torch.randn(size.slots, 3, device=self.device), dim=-1)
        self.surfaces: list[SurfaceSamples] = []
        self.views: list[MaskedView] = []
        self.explanations: list[Explanation] | None = [] if by_scene else None
        for index, direction in enumerate(normalize(torch.randn(size.views, 3, device=self.device), dim=-1)):
            self._add(index, look(direction, size))
        config = DiscoNerfModelConfig(slots=size.slots, object_field=size.field)
        box = SceneBox(aabb=torch.tensor([[-1.0, -1, -1], [1, 1, 1]]))
        self.model: DiscoNerfModel = config.setup(scene_box=box, num_train_data=size.views, metadata={})
        self.model.to(self.device)
        self.model.freeze_radiance(True)
        points = wavy(normalize(torch.randn(30_000, 3, device=self.device), dim=-1))
        self.model.agree_on(Consensus.of(points.cpu(), self._object(points - 0.5).cpu()))
        self._next = torch.zeros(0, dtype=torch.long)
        self.rays: SceneRays | None = None
        if self.explanations is not None and size.rays_per_batch > 0:
            parts = self.surfaces, self.views, self.explanations
            self.rays = SceneRays.of(*parts, size.rays_per_batch, 1, self.device)

    def _object(self, towards: Float[Tensor, "n 3"]) -> Int[Tensor, "n"]:
        return (towards @ self.objects.T).argmax(-1)

    def _add(self, index: int, towards: Float[Tensor, "rays 3"]) -> None:
        """One view; where it sees fewer objects than it has masks, several masks show the same."""
        steps = 1 - 0.01 * torch.arange(self.size.points, device=self.device)[:, None]
        points = 0.5 + steps * (wavy(towards) - 0.5)[:, None]
        self.surfaces.append(SurfaceSamples.pack(points, torch.ones(len(points), device=self.device)))
        label = self._object(towards)
        shown = torch.bincount(label, minlength=self.size.slots).argsort(descending=True)[: int(label.unique().numel())]
        about = shown[torch.arange(self.size.masks, device=self.device) % len(shown)]
        bits = torch.cat([pack(label == one[:, None]) for one in about.split(8)])
        self.views.append(MaskedView(index, bits, torch.ones_like(label, dtype=torch.bool)))
        if self.explanations is not None:
            sets = torch.nn.functional.one_hot(about, self.size.slots).float()
            self.explanations.append(Explanation(sets, torch.ones(self.size.masks, device=self.device)))

    def next_batch(self) -> ObjectBatch:
        """Rays of all views, or the views of the next iteration: every one once in random order, then again."""
        if self.rays is not None:
            return self.rays.draw()
        count = min(self.size.views_per_batch, self.size.views)
        if len(self._next) < count:
            self._next = torch.cat([self._next, torch.randperm(self.size.views)])
        chosen, self._next = self._next[:count].tolist(), self._next[count:]

        def of(parts: Sequence) -> list:
            return [parts[i] for i in chosen]

        explanations = None if self.explanations is None else of(self.explanations)
        return ObjectBatch.of(of(self.surfaces), of(self.views), explanations, self.device)

    @property
    def nbytes(self) -> int:
        """Memory of surface and masks."""
        return sum(s.nbytes for s in self.surfaces) + sum(v.nbytes for v in self.views)
