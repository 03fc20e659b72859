"""nerfacto with an object field, as nerfstudio sees it: losses, outputs by name, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.models.nerfacto import NerfactoModel
from nerfstudio.utils import colormaps
from torch import Tensor

from disconerf_ns.compat.lpips import without_download
from disconerf_ns.compat.nerfacto import NerfactoRadiance
from disconerf_ns.compat.radiance_step import RadianceOutputs, radiance_losses, radiance_metrics, radiance_outputs
from disconerf_ns.config import DiscoNerfModelConfig
from disconerf_ns.discovery.consensus import Consensus
from disconerf_ns.errors import UserError
from disconerf_ns.field import ObjectField
from disconerf_ns.kernels.radiance_encoding import by_triton, quicken
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.lazy_outputs import LazyOutputs
from disconerf_ns.rendering.outputs import frame_outputs, output_table, unmixed
from disconerf_ns.rendering.turns import Turns, is_covered
from disconerf_ns.scene.arranged import ArrangedScene, SceneOptions
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.objects import DiscoveredObject
from disconerf_ns.scene.trained import TrainedScene
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.training.batch import ObjectBatch
from disconerf_ns.training.coarse_to_fine import CoarseToFine
from disconerf_ns.training.devices import Devices
from disconerf_ns.training.finite import check_finite
from disconerf_ns.training.object_outputs import LossWeights, ObjectOutputs, object_outputs

OBJECTS = ("object_slots", "object_boxes", "object_scores")
"""Buffers that hold the discovered objects."""
CONSENSUS = ("consensus_points", "consensus_groups", "consensus_neighbours")
"""Buffers that hold the consensus."""
TREE = ("tree_parent", "tree_opens", "tree_support", "tree_masks", "tree_rest")
"""Buffers that hold the tree of objects."""
NO_TREE = ObjectTree(0, (), ())
"""Content of these buffers where slots join to no larger objects."""
BACKGROUNDS = {"white": 1.0, "black": 0.0}
"""Grey value of the surroundings of an object that is rendered alone."""
ALWAYS_LEARN = 10
"""Number of first steps in which the proposal networks learn in any case, as in nerfacto."""
Presenter = Callable[[Cameras, OrientedBox | None], LazyOutputs | None]
"""Draws a camera for the viewer, where a client of it asks; None for everybody else."""


class DiscoNerfModel(NerfactoModel):
    """A radiance field that is frozen after its stage, and an object field that its surface teaches."""

    config: DiscoNerfModelConfig
    anneal: Float[Tensor, ""]
    """Exponent of the proposal networks' weights in this step of the radiance stage."""

    def populate_modules(self) -> None:
        """Build nerfacto, the object field, and the table of discovered objects."""
        if min(self.config.frozen_samples, default=1) < 1:
            raise UserError(
                f"frozen_samples has {min(self.config.frozen_samples)}; pass numbers of at least 1 with "
                "--pipeline.model.frozen-samples, or leave it out."
            )
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
        for name, tensor in NO_TREE.as_tensors().items():
            self.register_buffer(f"tree_{name}", tensor)
        self.coarse_to_fine = CoarseToFine(self.field.mlp_base)
        self.devices = Devices.of_process()
        self.proposals_learn = True
        """Whether the proposal networks get gradients in this step of the radiance stage."""
        self.register_buffer("anneal", torch.ones(()), persistent=False)
        self.label_maps: dict[int, Tensor] | None = None
        """Output `label` of each image that nerfstudio's evaluation renders, by image; None drops them."""
        self.training_rays: Callable[[], Iterator[RayBundle]] | None = None
        """Gives some rays of all training views; None where they are not known."""
        self.turns, self.learning = Turns(), False
        self.current = CurrentScene(ArrangedScene(self._trained(), options=self._options()))
        """The scene that outputs show; another one takes effect with the next image."""
        self.present: Presenter = lambda camera, obb_box: None
        """Draws for the clients of a viewer; a viewer sets it."""

    @property
    def capturable(self) -> bool:
        """Whether a CUDA graph can capture a step of the radiance stage: nothing in it is copied from the host."""
        copies = self.config.background_color in BACKGROUNDS or self.config.predict_normals
        return self.config.implementation == "torch" and by_triton(self) and not copies

    def get_param_groups(self) -> dict[str, list[torch.nn.Parameter]]:
        """nerfacto's groups and `object_field`."""
        return {**super().get_param_groups(), "object_field": list(self.object_field.parameters())}

    def freeze_radiance(self, frozen: bool) -> None:
        """Exclude everything but the object field from training, or include it."""
        for group, parameters in self.get_param_groups().items():
            for parameter in parameters:
                parameter.requires_grad_(frozen == (group == "object_field"))

    # ---------------------------------------------------------------- training

    def forward(self, inputs: RayBundle | ObjectBatch) -> dict[str, Tensor | list] | RadianceOutputs | ObjectOutputs:
        """Outputs for rays (radiance stage, rendering) or for whole views with masks (object stage)."""
        if isinstance(inputs, ObjectBatch):
            points, cells = map(self.devices.portion, (self.config.consensus_batch, self.config.tv_cells))
            return object_outputs(self.object_field, inputs, self.consensus, points, cells)
        return super().forward(inputs)

    def get_outputs(self, ray_bundle: RayBundle) -> dict | RadianceOutputs:
        """Rendered rays for the losses while training; otherwise every output of the scene by name, on demand."""
        if not self.training:
            return frame_outputs(Frame(self.current.value, ray_bundle, (len(ray_bundle),)))
        if self.config.predict_normals:
            return super().get_outputs(ray_bundle)
        return radiance_outputs(self, ray_bundle, self.proposals_learn, self.anneal)

    def begin_radiance_step(self) -> None:
        """Decide whether the proposal networks learn in the next step, by nerfacto's schedule of their updates."""
        sampler = self.proposal_sampler
        if self.config.predict_normals:  # nerfacto's own step decides
            return
        waited = sampler._steps_since_update > sampler.update_sched(sampler._step)
        self.proposals_learn = bool(waited or sampler._step < ALWAYS_LEARN)
        if self.proposals_learn:
            sampler._steps_since_update = 0
        self.anneal.fill_(sampler._anneal)

    def _random_densities(self) -> Float[Tensor, "points"]:
        """Densities at uniformly random points of the contracted cube (DiscoNeRF, 7.2)."""
        points = torch.rand(self.devices.portion(self.config.floater_points), 3, device=self.device)
        raw = self.field.mlp_base(points)[:, 0].float()
        return self.field.average_init_density * torch.exp(raw.clamp(max=15))

    def get_metrics_dict(self, outputs: dict | RadianceOutputs | ObjectOutputs, batch: dict) -> dict[str, Tensor]:
        """nerfacto's metrics, or the mean affinity of masks with their slots and the number of slots in use."""
        if isinstance(outputs, ObjectOutputs):
            return outputs.metrics()
        if isinstance(outputs, RadianceOutputs):
            return radiance_metrics(self, outputs, batch["image"].to(self.device))
        return super().get_metrics_dict(outputs, batch)

    def get_loss_dict(
        self, outputs: dict | RadianceOutputs | ObjectOutputs, batch: dict, metrics_dict: dict | None = None
    ) -> dict[str, Tensor]:
        """nerfacto's losses and the floater loss, or the losses of the object field."""
        config = self.config
        if isinstance(outputs, ObjectOutputs):
            return outputs.loss_dict(LossWeights(config.false_positive_mult, config.tv_mult, config.consensus_mult))
        if isinstance(outputs, RadianceOutputs):
            losses = radiance_losses(self, outputs, batch["image"].to(self.device), metrics_dict or {})
        else:
            losses = super().get_loss_dict(outputs, batch, metrics_dict)
        if self.training:
            losses["floater_loss"] = config.floater_mult * self._random_densities().mean()
        return losses

    # ---------------------------------------------------------------- the scene as a value

    @property
    def consensus(self) -> Consensus:
        """The objects that the masks of all views agree on."""
        return Consensus(self.consensus_points, self.consensus_groups, self.consensus_neighbours, self.tree)

    @property
    def tree(self) -> ObjectTree:
        """How the slots join to larger objects."""
        return self.current.value.trained.tree

    def agree_on(self, consensus: Consensus) -> None:
        """Learn towards these objects, slot by slot; with `slots` "auto" there is one slot for each.

        Without "auto", slots that no object of the consensus has are roots of the tree.
        """
        self.consensus_points = consensus.points.to(self.device)
        self.consensus_groups = consensus.groups.to(self.device)
        self.consensus_neighbours = consensus.neighbours.to(self.device)
        if self.slots_by_masks and len(consensus) > 0:
            self.object_field.resize(len(consensus))
        self.set_tree(None if consensus.tree is None else consensus.tree.widened(self.object_field.slots))

    def set_tree(self, tree: ObjectTree | None) -> None:
        """Join the slots to larger objects; None for a flat tree."""
        for name, tensor in (tree or NO_TREE).as_tensors().items():
            setattr(self, f"tree_{name}", tensor.to(self.device))
        self._renew()

    def set_objects(self, objects: list[DiscoveredObject]) -> None:
        """Take over the discovered objects of every size; their outputs are `object_00`, `object_01`, ..."""
        scores = [(each.share, each.confidence, each.views) for each in objects]
        self.object_slots = torch.tensor([each.node for each in objects], dtype=torch.long, device=self.device)
        self.object_boxes = torch.tensor([each.box for each in objects], device=self.device).view(-1, 2, 3)
        self.object_scores = torch.tensor(scores, device=self.device).view(-1, 3)
        self._renew()

    def look_from(self, training_rays: Callable[[], Iterator[RayBundle]]) -> None:
        """Tell which rays the photographs were taken along.

        Args:
            training_rays: gives some rays of all training views, flat, a view at a time.
        """
        self.training_rays = training_rays
        self._renew()

    def _renew(self) -> None:
        trained = self._trained()
        self.current.replace(lambda scene: scene.with_trained(trained))

    def _trained(self) -> TrainedScene:
        """The scene as it is learned so far; the fields' weights are the model's own."""
        columns = self.object_slots.tolist(), self.object_scores.tolist(), self.object_boxes.tolist()
        objects = [
            DiscoveredObject(node, share, confidence, int(views), (tuple(low), tuple(high)))
            for node, (share, confidence, views), (low, high) in zip(*columns)
        ]
        agreed, slots = len(self.consensus_points) > 0, self.object_field.slots
        columns = {name.removeprefix("tree_"): getattr(self, name) for name in TREE}
        return TrainedScene(
            NerfactoRadiance(self, self.still, self.config.half_precision, self.config.frozen_samples),
            self.object_field,
            ObjectTree.from_tensors(columns, slots) if len(columns["parent"]) > 0 else ObjectTree.flat(slots),
            tuple(objects),
            self.consensus_points if agreed else None,
            self.consensus_groups if agreed else None,
            self.training_rays,
        )

    def _options(self) -> SceneOptions:
        config = self.config
        return SceneOptions(
            extraction=config.extraction,
            min_confidence=config.min_confidence,
            background=BACKGROUNDS[config.object_background],
            surface_points=config.rendered_points,
            object_samples=config.object_samples,
            rays_at_once=config.eval_num_rays_per_chunk,
        )

    @contextmanager
    def still(self) -> Iterator[None]:
        """Evaluation mode without gradients, while no training iteration runs in another thread."""
        if is_covered():
            with torch.no_grad():
                yield
            return
        with self.turns.shared(), torch.no_grad():
            learning = self.learning
            self.eval()
            try:
                yield
            finally:
                self.train(learning)

    @contextmanager
    def learns(self) -> Iterator[None]:
        """Training mode, while no other thread evaluates the model."""
        with self.turns.alone():
            self.train()
            self.learning = True
            try:
                yield
            finally:
                self.learning = False

    # ---------------------------------------------------------------- outputs

    @torch.no_grad()
    def get_outputs_for_camera(self, camera: Cameras, obb_box: OrientedBox | None = None) -> LazyOutputs:
        """Every output of the scene for a camera, (H, W, C), computed on demand."""
        shown = self.present(camera, obb_box)
        if shown is not None:
            return shown
        return frame_outputs(Frame.seen_by(self.current.value, camera, obb_box=obb_box))

    @torch.no_grad()
    def get_outputs_for_camera_ray_bundle(self, camera_ray_bundle: RayBundle) -> LazyOutputs:
        """Every output of the scene for a camera's rays, (H, W, C), computed on demand."""
        shape = tuple(camera_ray_bundle.origins.shape[:2])
        return frame_outputs(Frame(self.current.value, camera_ray_bundle.flatten(), shape))

    def get_rgba_image(self, outputs: dict[str, Tensor], output_name: str = "rgb") -> Tensor:
        """RGBA of an output: an object alone has its own alpha and colours without background, its mask is white."""
        scene = self.current.value
        output = output_table(scene).get(output_name)
        if output is None or output.alpha is None:
            return super().get_rgba_image(outputs, output_name)
        alpha = outputs[output.alpha]
        if output.name == output.alpha:
            return torch.cat([torch.ones_like(alpha).expand(-1, -1, 3), alpha], -1)
        return torch.cat([unmixed(outputs[output_name], alpha, scene.options.background), alpha], -1)

    def get_image_metrics_and_images(self, outputs: dict, batch: dict) -> tuple[dict[str, float], dict[str, Tensor]]:
        """PSNR, SSIM (and LPIPS where its weights are), and the pictures that a log shows for a held-out view."""
        truth = self.renderer_rgb.blend_background(batch["image"].to(self.device))
        rgb = outputs["rgb"].to(self.device)
        a, b = (image.moveaxis(-1, 0)[None] for image in (truth, rgb))
        metrics = {"psnr": float(self.psnr(a, b)), "ssim": float(cast("Tensor", self.ssim(a, b)))}
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
            UserError: keys are missing or unknown, or a tensor has another shape or is not finite.
        """
        state = {key: value for key, value in state_dict.items() if not key.startswith("lpips.")}
        learned = {key: state[key] for key, _ in self.named_parameters() if key in state}
        check_finite(learned, "The checkpoint", "take an earlier one with --load-step, or train again.")
        for name in (*CONSENSUS, *TREE):
            state.setdefault(name, getattr(self, name)[:0])
        state.setdefault("object_scores", torch.zeros(len(state.get("object_slots", ())), 3))
        last = state.get("object_field.mlp.4.bias")
        if last is not None and len(last) != self.object_field.slots:
            self.object_field.resize(len(last))
        for name in (*OBJECTS, *CONSENSUS, *TREE):
            if name in state:
                setattr(self, name, torch.zeros_like(state[name], device=self.device))
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
                "A run of nerfacto is taken up by `ns-train disconerf --pipeline.radiance-field`, a run with "
                "tinycudann needs tinycudann."
            )
        self._renew()
        return result
