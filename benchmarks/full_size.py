"""A model of disconerf's full size that nothing has taught: for timing without a run, on any machine.

Its densities are noise with opaque places, so that rays end somewhere; objects are parts of a ball, the first one half
of it. What they look like is of no interest: samples, networks, tables and slots are the reference scene's.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.field_components.encodings import HashEncoding
from torch.nn.functional import normalize

from disconerf_ns.discovery.consensus import Consensus
from disconerf_ns.method import disconerf
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.scene.objects import DiscoveredObject

SLOTS = 120
"""Object slots of the reference scene."""
ROUGH = 3e4
"""Factor on the tables' first entries, within 1e-4 of 0, that makes some places opaque."""
LARGE = 1.0
"""How much nearer than it is the first object counts, so that it is large."""


def full_size(device: torch.device | str, slots: int = SLOTS, seed: int = 0, **options) -> DiscoNerfModel:
    """disconerf's model with objects, ready to be looked at.

    Args:
        device: where it computes.
        slots: number N of object slots; half of them are objects.
        seed: of all its numbers.
        options: of the model's config that differ.
    """
    torch.manual_seed(seed)
    config = deepcopy(disconerf.config.pipeline.model)
    for name, value in {"slots": slots, "average_init_density": 3.0, **options}.items():
        setattr(config, name, value)
    box = SceneBox(aabb=torch.tensor([[-1.0, -1, -1], [1, 1, 1]]))
    model: DiscoNerfModel = config.setup(scene_box=box, num_train_data=279, metadata={})
    for module in (*model.field.modules(), *model.proposal_networks.modules()):
        if isinstance(module, HashEncoding) and module.tcnn_encoding is None:
            module.hash_table.data *= ROUGH
    model.to(device).eval()
    directions = normalize(torch.randn(20_000, 3), dim=-1)
    centres = normalize(torch.randn(slots, 3), dim=-1)
    nearness = directions @ centres.T
    nearness[:, 0] += LARGE
    group = nearness.argmax(-1)
    scene = 0.6 * directions
    model.agree_on(Consensus.of((scene + 2) / 4, group))
    largest = group.bincount(minlength=slots).argsort(descending=True)[: slots // 2].tolist()
    ends = [(scene[group == slot].amin(0) - 0.1, scene[group == slot].amax(0) + 0.1) for slot in largest]
    boxes = [(tuple(low.tolist()), tuple(high.tolist())) for low, high in ends]
    model.set_objects(
        [DiscoveredObject(slot, 1 / slots, 0.9, 279, box=box, reach=box) for slot, box in zip(largest, boxes)]
    )
    model.freeze_radiance(True)
    model.proposal_sampler.set_anneal(1.0)
    return model


def looking_at_it(width: int, height: int, device: torch.device | str) -> Cameras:
    """A camera that sees the ball of objects fill most of a picture."""
    pose = torch.eye(4)[None, :3].clone()
    pose[:, 2, 3] = 1.4
    return Cameras(pose, float(width), float(width), width / 2, height / 2, width, height).to(device)
