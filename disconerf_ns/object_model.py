"""A frozen scene with an object field on top, as nerfstudio sees it: losses, outputs by name, checkpoints."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.models.base_model import Model
from nerfstudio.utils import colormaps
from torch import Tensor

from disconerf_ns.config import ObjectModelConfig
from disconerf_ns.discovery.consensus import Consensus
from disconerf_ns.errors import UserError
from disconerf_ns.field import ObjectField
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.lazy_outputs import LazyOutputs
from disconerf_ns.rendering.outputs import frame_outputs, output_table, unmixed
from disconerf_ns.rendering.turns import Turns, is_covered
from disconerf_ns.scene.arranged import ArrangedScene, SceneOptions
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.objects import DiscoveredObject, box_between
from disconerf_ns.scene.radiance import RadianceField
from disconerf_ns.scene.trained import TrainedScene
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.training.batch import ObjectBatch
from disconerf_ns.training.devices import Devices
from disconerf_ns.training.finite import check_finite
from disconerf_ns.training.object_outputs import LossWeights, ObjectOutputs, object_outputs

OBJECTS = ("object_slots", "object_boxes", "object_reaches", "object_scores")
"""Buffers that hold the discovered objects."""
CONSENSUS = ("consensus_points", "consensus_groups", "consensus_neighbours")
"""Buffers that hold the consensus."""
TREE = ("tree_parent", "tree_opens", "tree_support", "tree_masks", "tree_rest")
"""Buffers that hold the tree of objects."""
NO_TREE = ObjectTree(0, (), ())
"""Content of these buffers where slots join to no larger objects."""
BACKGROUNDS = {"white": 1.0, "black": 0.0}
"""Grey value of the surroundings of an object that is rendered alone."""
Presenter = Callable[[Cameras, OrientedBox | None], LazyOutputs | None]
"""Draws a camera for the viewer, where a client of it asks; None for everybody else."""


class ObjectModel(Model):
    """An object field over a frozen scene; a subclass says what the scene is made of.

    A subclass has nerfstudio's `renderer_rgb`, `camera_optimizer`, `psnr`, `ssim` and `lpips`.
    """

    config: ObjectModelConfig
    camera_optimizer: Any
    renderer_rgb: Any
    psnr: Any
    ssim: Any
    lpips: Any

    of_any_size: tuple[str, ...] = (*OBJECTS, *CONSENSUS, *TREE)
    """Buffers that have the size that a checkpoint gives them."""

    @abstractmethod
    def radiance(self) -> RadianceField:
        """The scene as rendering sees it."""

    def populate_modules(self) -> None:
        """Build the scene, the object field, and the table of discovered objects."""
        super().populate_modules()
        slots = self.config.slots
        self.slots_by_masks = slots == "auto"
        if slots == "auto":
            slots = self.kwargs["metadata"].get("slots", 1)
        self.object_field = ObjectField(self.config.object_field, slots)
        self.register_buffer("object_slots", torch.zeros(0, dtype=torch.long))
        self.register_buffer("object_boxes", torch.zeros(0, 2, 3))
        self.register_buffer("object_reaches", torch.zeros(0, 2, 3))
        self.register_buffer("object_scores", torch.zeros(0, 3))
        self.register_buffer("consensus_points", torch.zeros(0, 3))
        self.register_buffer("consensus_groups", torch.zeros(0, dtype=torch.long))
        self.register_buffer("consensus_neighbours", torch.zeros(0, 1, dtype=torch.long))
        for name, tensor in NO_TREE.as_tensors().items():
            self.register_buffer(f"tree_{name}", tensor)
        self.devices = Devices.of_process()
        self.label_maps: dict[int, Tensor] | None = None
        """Output `label` of each image that nerfstudio's evaluation renders, by image; None drops them."""
        self.training_rays: Callable[[], Iterator[RayBundle]] | None = None
        """Gives some rays of all training views; None where they are not known."""
        self.camera_positions: Callable[[], Tensor] | None = None
        """Gives the scene positions that the photographs were taken from; None where they are not known."""
        self.turns, self.learning = Turns(), False
        self.current = CurrentScene(ArrangedScene(self._trained(), options=self._options()))
        """The scene that outputs show; another one takes effect with the next image."""
        self.present: Presenter = lambda camera, obb_box: None
        """Draws for the clients of a viewer; a viewer sets it."""

    def freeze_radiance(self, frozen: bool) -> None:
        """Exclude everything but the object field from training, or include it."""
        for group, parameters in self.get_param_groups().items():
            for parameter in parameters:
                parameter.requires_grad_(frozen == (group == "object_field"))

    # ---------------------------------------------------------------- training

    def forward(self, inputs: RayBundle | ObjectBatch) -> Any:
        """Outputs for rays (radiance stage, rendering) or for whole views with masks (object stage)."""
        if isinstance(inputs, ObjectBatch):
            points, cells = map(self.devices.portion, (self.config.consensus_batch, self.config.tv_cells))
            return object_outputs(self.object_field, inputs, self.consensus, points, cells)
        return super().forward(inputs)

    def get_outputs(self, ray_bundle: RayBundle) -> Any:
        """Every output of the scene by name, on demand; while the scene is trained, what its losses need."""
        if self.training:
            return super().get_outputs(ray_bundle)
        return frame_outputs(Frame(self.current.value, ray_bundle, (len(ray_bundle),)))

    def get_metrics_dict(self, outputs: Any, batch: dict) -> dict[str, Tensor]:
        """Mean affinity of masks with their slots, and the number of slots in use; before, the scene's own metrics."""
        if isinstance(outputs, ObjectOutputs):
            return outputs.metrics()
        return super().get_metrics_dict(outputs, batch)

    def get_loss_dict(self, outputs: Any, batch: dict, metrics_dict: dict | None = None) -> dict[str, Tensor]:
        """The losses of the object field; before, the scene's own."""
        if isinstance(outputs, ObjectOutputs):
            config = self.config
            return outputs.loss_dict(LossWeights(config.false_positive_mult, config.tv_mult, config.consensus_mult))
        return super().get_loss_dict(outputs, batch, metrics_dict)

    def to_go_on(self) -> dict[str, Any]:
        """State for a checkpoint, besides parameters, with which `go_on` continues exactly."""
        return {}

    def go_on(self, stored: dict[str, Any]) -> None:
        """Take over what `to_go_on` gave."""

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
        self.object_reaches = torch.tensor([each.reach for each in objects], device=self.device).view(-1, 2, 3)
        self.object_scores = torch.tensor(scores, device=self.device).view(-1, 3)
        self._renew()

    def look_from(
        self, training_rays: Callable[[], Iterator[RayBundle]], positions: Callable[[], Float[Tensor, "views 3"]]
    ) -> None:
        """Tell which rays the photographs were taken along.

        Args:
            training_rays: gives some rays of all training views, flat, a view at a time.
            positions: gives the scene positions that the photographs were taken from, on the CPU.
        """
        self.training_rays, self.camera_positions = training_rays, positions
        self._renew()

    def _renew(self) -> None:
        trained = self._trained()
        self.current.replace(lambda scene: scene.with_trained(trained))

    def _trained(self) -> TrainedScene:
        """The scene as it is learned so far; the fields' weights are the model's own."""
        columns = self.object_slots, self.object_scores, self.object_boxes, self.object_reaches
        objects = [
            DiscoveredObject(node, share, confidence, int(views), box_between(box), box_between(reach))
            for node, (share, confidence, views), box, reach in zip(*(column.tolist() for column in columns))
        ]
        agreed, slots = len(self.consensus_points) > 0, self.object_field.slots
        columns = {name.removeprefix("tree_"): getattr(self, name) for name in TREE}
        return TrainedScene(
            self.radiance(),
            self.object_field,
            ObjectTree.from_tensors(columns, slots) if len(columns["parent"]) > 0 else ObjectTree.flat(slots),
            tuple(objects),
            self.consensus_points if agreed else None,
            self.consensus_groups if agreed else None,
            self.training_rays,
            self.camera_positions,
        )

    def _options(self) -> SceneOptions:
        config = self.config
        return SceneOptions(
            extraction=config.extraction,
            min_confidence=config.min_confidence,
            complete=config.complete,
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
        state.setdefault("object_reaches", state.get("object_boxes", self.object_reaches[:0]))
        state.setdefault("object_scores", torch.zeros(len(state.get("object_slots", ())), 3))
        last = state.get("object_field.mlp.4.bias")
        if last is not None and len(last) != self.object_field.slots:
            self.object_field.resize(len(last))
        for name in self.of_any_size:
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
                "A run of nerfacto is taken up by `ns-train disconerf --pipeline.radiance-field`, a run over gaussians "
                "goes on with --pipeline.radiance-field and its own config.yml or the splatfacto run's, and a run with "
                "tinycudann needs tinycudann."
            )
        self._renew()
        return result
