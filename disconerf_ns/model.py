"""nerfacto with an object field: what is trained in each stage, and the outputs that people see."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int, Shaped
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.models.nerfacto import NerfactoModel
from nerfstudio.utils import colormaps
from torch import Tensor

from disconerf_ns import objective, rendering
from disconerf_ns.arrangement import arrange
from disconerf_ns.batch import ObjectBatch
from disconerf_ns.coarse_to_fine import CoarseToFine
from disconerf_ns.config import DiscoNerfModelConfig
from disconerf_ns.consensus import Consensus
from disconerf_ns.edit import Edit, belonging
from disconerf_ns.errors import UserError
from disconerf_ns.field import ObjectField
from disconerf_ns.frame import BACKGROUNDS, Frame
from disconerf_ns.frozen import quicken
from disconerf_ns.lpips import without_download
from disconerf_ns.objective import Losses, Matched
from disconerf_ns.objects import SceneObject
from disconerf_ns.occupancy import Occupancy
from disconerf_ns.outputs import LazyOutputs
from disconerf_ns.parts import Parts
from disconerf_ns.vicinity import Vicinity
from disconerf_ns.viewer.displayed import displayed_outputs, rendering_client
from disconerf_ns.viewer.displays import Displays

POINTS_AT_ONCE = 2**18
"""Most points whose slot probabilities are in memory together while rendering."""


CONSENSUS = ("consensus_points", "consensus_groups", "consensus_neighbours")
"""Buffers that hold the consensus."""
OUTSIDE = 1e-6
"""Weight of an object's slot outside of the object's box, and where the object was not seen around."""


class DiscoNerfModel(NerfactoModel):
    """A radiance field that is frozen after its stage, and an object field that its surface teaches."""

    config: DiscoNerfModelConfig

    def populate_modules(self) -> None:
        """Build nerfacto, the object field, and the table of discovered objects."""
        with without_download():
            super().populate_modules()
        quicken(self)
        slots = self.config.slots
        self.slots_by_masks = slots == "auto"
        if slots == "auto":
            slots = self.kwargs["metadata"].get("slots", 1)
        self.object_field = ObjectField(self.config.object_field, slots)
        self.register_buffer("object_slots", torch.zeros(0, dtype=torch.long))
        self.register_buffer("object_boxes", torch.zeros(0, 2, 3))
        self.register_buffer("object_scores", torch.zeros(0, 3))
        self.register_buffer("consensus_points", torch.zeros(0, 3))
        self.register_buffer("consensus_groups", torch.zeros(0, dtype=torch.long))
        self.register_buffer("consensus_neighbours", torch.zeros(0, 1, dtype=torch.long))
        self.coarse_to_fine = CoarseToFine(self.field.mlp_base)
        self._vicinity: Vicinity | None = None
        self._occupancies: dict[Hashable, Occupancy] = {}
        self._parts: dict[int, Parts] = {}
        self.edit = Edit()
        """What a person changed; a new value takes effect with the next image."""
        self.label_maps: dict[int, Tensor] | None = None
        """Where nerfstudio's evaluation leaves the output `label` of each image it renders; None to drop them."""
        self.rendering_lock = threading.RLock()
        self.displays = Displays(self)

    def get_param_groups(self) -> dict[str, list[torch.nn.Parameter]]:
        """nerfacto's groups and `object_field`."""
        return {**super().get_param_groups(), "object_field": list(self.object_field.parameters())}

    def freeze_radiance(self, frozen: bool) -> None:
        """Exclude everything but the object field from training, or include it."""
        for group, parameters in self.get_param_groups().items():
            for parameter in parameters:
                parameter.requires_grad_(frozen == (group == "object_field"))

    # ---------------------------------------------------------------- training

    def forward(self, inputs: RayBundle | ObjectBatch) -> dict:
        """Outputs for rays (radiance stage, rendering) or for whole views with masks (object stage)."""
        if isinstance(inputs, ObjectBatch):
            return self._match_views(inputs)
        return super().forward(inputs)

    def get_outputs(self, ray_bundle: RayBundle) -> dict:
        """nerfacto's outputs while training; otherwise every output of the model by name, computed on demand."""
        if not self.training:
            return Frame(self, ray_bundle, (len(ray_bundle),)).outputs()
        outputs = super().get_outputs(ray_bundle)
        outputs["random_densities"] = self._random_densities()
        return outputs

    def _random_densities(self) -> Float[Tensor, "points"]:
        """Densities at uniformly random points of the contracted cube (DiscoNeRF, 7.2)."""
        points = torch.rand(self.config.floater_points, 3, device=self.device)
        raw = self.field.mlp_base(points)[:, 0].float()
        return self.field.average_init_density * torch.exp(raw.clamp(max=15))

    def _match_views(self, batch: ObjectBatch) -> dict:
        """What the masks of whole views, and the consensus, say about the object field, which is evaluated once."""
        surface, points, groups = batch.surface, self.consensus_points[:0], self.consensus_groups[:0]
        if batch.explained is not None:
            points, groups = self.consensus.sample(self.config.consensus_batch)
        positions = surface.positions.flatten(0, 1)
        hidden = self.object_field.hidden(torch.cat([positions, points]))
        chosen = positions[batch.choose(self.config.tv_cells)]
        with torch.autocast(hidden.device.type, enabled=False):
            image = self.object_field.composite(hidden[: len(positions)], surface.accumulation)
            image = image.unflatten(0, batch.accumulation.shape)
            matched = batch.explained
            if matched is None:
                matching = objective.Matching(objective.affinity(image, batch.masks), batch.real)
            outputs = {"total_variation": self.object_field.total_variation(chosen)}
            if matched is None:
                matched = matching.result(batch.counts)
            else:
                outputs["disagreement"] = self._disagreement(hidden[len(positions) :], groups)
            losses = objective.losses(image, batch.masks, matched, batch.real.sum(1), batch.pixels)
        return outputs | {"losses": losses, "matched": matched, "masks": batch.real}

    def _disagreement(self, hidden: Float[Tensor, "n width"], groups: Int[Tensor, "n"]) -> Float[Tensor, ""]:
        """Mean negative log probability of the object that all views agree on, 0 where they agree on none."""
        sure = torch.ones(len(hidden), device=hidden.device)
        chosen = self.object_field.composite(hidden, sure).gather(1, groups.clamp(min=0)[:, None])[:, 0]
        return -((chosen + 1e-6).log() * (groups >= 0)).mean()

    def get_metrics_dict(self, outputs: dict, batch: dict) -> dict[str, Tensor]:
        """nerfacto's metrics, or the mean affinity of masks with their slots and the number of slots in use."""
        if "matched" not in outputs:
            return super().get_metrics_dict(outputs, batch)
        matched: Matched = outputs["matched"]
        return {
            "matched_affinity": matched.affinity.sum() / outputs["masks"].sum().clamp(min=1),
            "slots_in_use": matched.used.sum(),
        }

    def get_loss_dict(self, outputs: dict, batch: dict, metrics_dict: dict | None = None) -> dict[str, Tensor]:
        """nerfacto's losses and the floater loss, or those of the object field."""
        if "matched" not in outputs:
            losses = super().get_loss_dict(outputs, batch, metrics_dict)
            if self.training:
                losses["floater_loss"] = self.config.floater_mult * outputs["random_densities"].mean()
            return losses
        found: Losses = outputs["losses"]
        losses = {
            "matching_loss": found.matching,
            "false_positive_loss": self.config.false_positive_mult * found.false_positive,
            "tv_loss": self.config.tv_mult * outputs["total_variation"],
        }
        if "disagreement" in outputs:
            losses["consensus_loss"] = self.config.consensus_mult * outputs["disagreement"]
        return losses

    @property
    def consensus(self) -> Consensus:
        """The objects that the masks of all views agree on."""
        return Consensus(self.consensus_points, self.consensus_groups, self.consensus_neighbours)

    def agree_on(self, consensus: Consensus) -> None:
        """Learn towards these objects, slot by slot; with `slots` "auto" there is one slot for each."""
        self.consensus_points = consensus.points.to(self.device)
        self.consensus_groups = consensus.groups.to(self.device)
        self.consensus_neighbours = consensus.neighbours.to(self.device)
        self._vicinity = None
        if self.slots_by_masks and len(consensus) > 0:
            self.object_field.resize(len(consensus))

    # ---------------------------------------------------------------- outputs

    def set_objects(self, objects: list[SceneObject]) -> None:
        """Take over the discovered objects; their outputs are `object_00`, `object_01`, ..."""
        scores = [(o.share, o.confidence, o.views) for o in objects]
        self.object_slots = torch.tensor([o.slot for o in objects], dtype=torch.long, device=self.device)
        self.object_boxes = torch.tensor([o.box for o in objects], device=self.device).view(-1, 2, 3)
        self.object_scores = torch.tensor(scores, device=self.device).view(-1, 3)
        self._occupancies.clear()
        self._parts.clear()

    @property
    def objects(self) -> list[SceneObject]:
        """The discovered objects as the edit arranges them; `slot` is an id of the edit."""
        columns = self.object_slots.tolist(), self.object_boxes.tolist(), self.object_scores.tolist()
        found = [
            SceneObject("", slot, (0.0, 0.0, 0.0), share, confidence, int(views), tuple(map(tuple, box)))
            for slot, box, (share, confidence, views) in zip(*columns)
        ]
        return arrange(found, self.edit, self.object_field.slots, self.parts)

    @property
    def ids(self) -> int:
        """Number of ids of the edit: slots, and further parts of those that are split."""
        return self.edit.ids(self.object_field.slots)

    def occupancy(self, id: int) -> Occupancy:
        """Where an object of the edit is."""
        key = id, tuple(self.edit.merged.items()), tuple(self.edit.split.items())
        if key not in self._occupancies:
            box = next(found.box for found in self.objects if found.slot == id)
            self._occupancies[key] = self._occupied(torch.tensor(box, device=self.device), id, self.owners)
        return self._occupancies[key]

    def parts(self, slot: int) -> Parts:
        """The connected parts of a slot, whether it is split or not."""
        if slot not in self._parts:
            with self.still():
                box = self.object_boxes[self.object_slots == slot][0]
                grid = self._occupied(box, slot, lambda x: self._own(x, self._slot_probabilities))
                self._parts[slot] = Parts.of(grid)
        return self._parts[slot]

    def _occupied(self, box: Float[Tensor, "2 3"], id: int, owners: rendering.Owners) -> Occupancy:
        return Occupancy.build(
            lambda x: self.field.density_fn(x)[..., 0] * belonging(owners(x), id),
            lambda x: rendering.contract(self, x),
            lambda x: rendering.uncontract(self, x),
            box,
        )

    def object_probabilities(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n ids"]:
        """Probabilities of the edit's objects at contracted positions times who may own them: of slots, of the parts
        of those that are split, and of what is merged together.
        """
        probabilities = self._slot_probabilities(positions)
        further = []
        for slot, count in self.edit.split.items():
            part = self.parts(slot).at(positions).clamp(max=count - 1)
            pieces = probabilities[:, slot, None] * (part[:, None] == torch.arange(count, device=self.device))
            probabilities[:, slot] = pieces[:, 0]
            further.append(pieces[:, 1:])
        probabilities = torch.cat([probabilities, *further], -1)
        for id, into in self.edit.merged.items():
            probabilities[:, into] += probabilities[:, id]
            probabilities[:, id] = 0
        return probabilities

    def _slot_probabilities(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n slots"]:
        """Slot probabilities at contracted positions times who may own them.

        These are the objects whose box holds the position and, where masks are matched by scene, that the masks saw
        around there. Positions that nobody may own, such as fog that no training view looked into, weigh next to
        nothing, but still have a largest. Slivers own nothing. Rows sum to at most 1.
        """
        low, high = self.object_boxes.unbind(1)
        scene = rendering.uncontract(self, positions)[:, None]
        inside = ((low <= scene) & (scene <= high)).all(-1)
        probabilities = self.object_field(positions) + 1e-9
        own = torch.zeros_like(probabilities)
        own.index_copy_(1, self.object_slots, inside.to(probabilities).clamp(min=OUTSIDE))
        if len(self.consensus_points) > 0:
            own *= self.vicinity(positions).to(probabilities).clamp(min=OUTSIDE)
        return probabilities * own

    @property
    def vicinity(self) -> Vicinity:
        """Where the masks saw the objects that they agree on."""
        if self._vicinity is None:
            self._vicinity = Vicinity.of(self.consensus_points, self.consensus_groups, self.object_field.slots)
        return self._vicinity

    def owners(self, positions: Float[Tensor, "*n 3"]) -> Shaped[Tensor, "..."]:
        """The object that rules at scene positions (*n), or for soft extraction the probabilities (*n, ids)."""
        return self._own(positions, self.object_probabilities)

    def _own(self, positions: Float[Tensor, "*n 3"], of: Callable[[Tensor], Tensor]) -> Shaped[Tensor, "..."]:
        def own(points: Tensor) -> Tensor:
            probabilities = of(rendering.contract(self, points))
            if self.config.extraction == "hard":
                return probabilities.argmax(-1)
            return probabilities / probabilities.sum(-1, keepdim=True)

        found = torch.cat([own(points) for points in positions.reshape(-1, 3).split(POINTS_AT_ONCE)])
        return found.view(*positions.shape[:-1], *found.shape[1:])

    @contextmanager
    def still(self) -> Iterator[None]:
        """Evaluation mode without gradients, apart from a training iteration that runs in another thread."""
        with self.rendering_lock, torch.no_grad():
            was_training = self.training
            self.eval()
            try:
                yield
            finally:
                self.train(was_training)

    @torch.no_grad()
    def get_outputs_for_camera(self, camera: Cameras, obb_box: OrientedBox | None = None) -> LazyOutputs:
        """Every output of the model for a camera; the viewer's are kept for as long as its camera stays."""
        client = rendering_client()
        if client is None or obb_box is not None:
            return super().get_outputs_for_camera(camera, obb_box)
        return self.displays.show(client, camera, displayed_outputs())

    @torch.no_grad()
    def get_outputs_for_camera_ray_bundle(self, camera_ray_bundle: RayBundle) -> LazyOutputs:
        """Every output of the model for a camera's rays, (H, W, C), computed on demand."""
        outputs = Frame(self, camera_ray_bundle.flatten(), tuple(camera_ray_bundle.origins.shape[:2])).outputs()
        for name in displayed_outputs():
            outputs.get(name)
        return outputs

    def get_rgba_image(self, outputs: dict[str, Tensor], output_name: str = "rgb") -> Tensor:
        """RGBA of an output; an object that is rendered alone has its own alpha and colours without background."""
        if not output_name.startswith("object_"):
            return super().get_rgba_image(outputs, output_name)
        alpha = outputs[f"{output_name}_mask"]
        background = BACKGROUNDS[self.config.object_background]
        rgb = (outputs[output_name] - (1 - alpha) * background) / alpha.clamp(min=1e-3)
        return torch.cat([rgb.clamp(0, 1), alpha], -1)

    def get_image_metrics_and_images(self, outputs: dict, batch: dict) -> tuple[dict[str, float], dict[str, Tensor]]:
        """PSNR, SSIM (and LPIPS where its weights are), and the pictures that a log shows for a held-out view."""
        truth = self.renderer_rgb.blend_background(batch["image"].to(self.device))
        rgb = outputs["rgb"].to(self.device)
        a, b = (image.moveaxis(-1, 0)[None] for image in (truth, rgb))
        metrics = {"psnr": float(self.psnr(a, b)), "ssim": float(self.ssim(a, b))}
        if self.lpips is not None:
            metrics["lpips"] = float(self.lpips(a, b))
        images = {
            "img": torch.cat([truth, rgb], 1),
            "accumulation": colormaps.apply_colormap(outputs["accumulation"]),
            "depth": colormaps.apply_depth_colormap(outputs["depth"], accumulation=outputs["accumulation"]),
        }
        if "objects" in outputs:
            images["objects"] = torch.cat([outputs["objects_overlay"], outputs["objects"]], 1)
            images["confidence"] = colormaps.apply_colormap(outputs["confidence"])
            if self.label_maps is not None:
                self.label_maps[int(batch["image_idx"])] = outputs["label"]
        return metrics, images

    # ---------------------------------------------------------------- checkpoints

    def state_dict(self, *args, **kwargs) -> dict[str, Tensor]:
        """Everything learned; not the perceptual metric's network, which is the same for everybody."""
        state = super().state_dict(*args, **kwargs)
        for key in [k for k in state if ".lpips." in f".{k}"]:
            del state[key]
        return state

    def load_state_dict(self, state_dict: dict[str, Tensor], strict: bool = True, assign: bool = False):
        """Load a checkpoint, with the number of slots and objects that it has.

        Raises:
            UserError: keys are missing or unknown.
        """
        state = {key: value for key, value in state_dict.items() if not key.startswith("lpips.")}
        for name in CONSENSUS:
            state.setdefault(name, getattr(self, name)[:0])
        state.setdefault("object_scores", torch.zeros(len(state.get("object_slots", ())), 3))
        last = state.get("object_field.mlp.4.bias")
        if last is not None and len(last) != self.object_field.slots:
            self.object_field.resize(len(last))
        for name in ("object_slots", "object_boxes", "object_scores", *CONSENSUS):
            if name in state:
                setattr(self, name, torch.zeros_like(state[name], device=self.device))
        self._vicinity = None
        for key, value in super().state_dict().items():
            if key in state and state[key].shape != value.shape:
                raise UserError(
                    f"The checkpoint does not fit the model: {key} is {list(state[key].shape)} instead of "
                    f"{list(value.shape)}. Resume with the method, options and images of that run."
                )
        result = super().load_state_dict(state, strict=False, assign=assign)
        missing = [key for key in result.missing_keys if not key.startswith("lpips.")]
        if missing or result.unexpected_keys:
            raise UserError(
                f"The checkpoint does not fit the model: {len(missing)} values are missing ({', '.join(missing[:3])}), "
                f"{len(result.unexpected_keys)} are unknown ({', '.join(result.unexpected_keys[:3])}). "
                "A run of nerfacto is taken up with --pipeline.radiance-field, a run with tinycudann needs tinycudann."
            )
        return result
