"""The pictures that the viewer's clients look at, kept while the camera stays so that an edit is seen at once."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Sequence
from threading import Thread
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.utils import colormaps
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from disconerf_ns.frame import Frame
from disconerf_ns.objects import SceneObject
from disconerf_ns.outputs import LazyOutputs
from disconerf_ns.viewer.preview import Preview

if TYPE_CHECKING:
    from disconerf_ns.model import DiscoNerfModel

KEPT = 2**19
"""Most rays of a picture that is kept."""
QUICK = 1536
"""Rays that are sampled before a change is seen for the first time."""
ROOM = 160
"""Least side of a picture whose outlines are two lines."""
OUTLINED = frozenset({"rgb", "objects", "objects_overlay", "edited"})
"""Outputs in which the selected objects are outlined."""


class Displays:
    """What the viewer's clients see of a model."""

    def __init__(self, model: DiscoNerfModel):
        self.model = model
        self.selected: frozenset[int] = frozenset()
        """Ids of the objects that are outlined."""
        self.step = 0
        """Of the training; pictures of another step are out of date."""
        self.drawing: set[Thread] = set()
        """Clients whose pictures are being computed."""
        self._frames: weakref.WeakKeyDictionary[Thread, deque[tuple[Cameras, int, Frame]]] = weakref.WeakKeyDictionary()

    def show(self, client: Thread, camera: Cameras, names: Sequence[str]) -> LazyOutputs:
        """Every output for a client's camera, those computed that it is about to draw, `names`.

        The viewer asks for a coarse picture after every change and for a sharp one later. Where the sharp one of the
        same camera is at hand, it is taken instead, or a preview of it where an edit takes longer.
        """
        self.drawing.add(client)
        try:
            frame = self._frame(client, camera, names)
            outputs = presented(frame, self.selected)
            for name in names:
                outputs.get(name)
        finally:
            self.drawing.discard(client)
        size = int(camera.height), int(camera.width)
        if frame.shape != size:  # the viewer multiplies depth by rays of the size that it asked for
            outputs["depth"] = interpolate(outputs["depth"].permute(2, 0, 1)[None], size)[0].permute(1, 2, 0)
        return outputs

    def _frame(self, client: Thread, camera: Cameras, names: Sequence[str]) -> Frame:
        frames = self._frames.setdefault(client, deque(maxlen=2))
        size = height, width = int(camera.height), int(camera.width)
        outlined = self.selected and not OUTLINED.isdisjoint(names)
        names = [*names, "objects"] if outlined else names
        for place, (kept_camera, step, frame) in sorted(enumerate(frames), key=lambda kept: -kept[1][2].shape[0]):
            if step != self.step or frame.shape < size or not same_view(kept_camera, camera):
                continue
            found = frame if frame.shape == size else at_once(frame, names)
            if found is not None:
                frames.rotate(len(frames) - 1 - place)
                return found
        rays = camera.generate_rays(camera_indices=0, keep_shape=True)
        frame = Frame(self.model, rays.flatten(), size, keep=height * width <= KEPT)
        frames.append((camera, self.step, frame))
        return frame


def at_once(frame: Frame, names: Sequence[str]) -> Frame | None:
    """A kept frame, or its preview, that can draw some outputs without asking the networks about many rays, or None."""
    if frame.waiting(names) <= QUICK:
        return frame
    others = set(names).difference(Preview.draws(frame))
    return Preview(frame, QUICK) if frame.waiting(["rgb", *others]) <= QUICK else None


def same_view(one: Cameras, other: Cameras) -> bool:
    """Whether two cameras see the same, but for the size of the picture."""
    return (
        torch.equal(one.camera_to_worlds, other.camera_to_worlds)
        and torch.equal(one.camera_type, other.camera_type)
        and abs(float(one.fy / one.height) / float(other.fy / other.height) - 1) < 0.01
        and abs(float(one.width / one.height) / float(other.width / other.height) - 1) < 0.05
    )


def presented(frame: Frame, selected: frozenset[int]) -> LazyOutputs:
    """A frame's outputs as the viewer shows them: under the objects' names, coloured, the selected objects outlined."""
    outputs, names = frame.outputs(), shown_names(frame.model.objects)
    draw = {name: lambda name=name: _present(frame, name, outputs[name], selected) for name in outputs.keys()}
    return LazyOutputs({names.get(name, name): recipe for name, recipe in draw.items()}, draw)


def shown_names(objects: Sequence[SceneObject]) -> dict[str, str]:
    """The names of objects' outputs, and under what they are shown: with the names that a person gave the objects."""
    kinds = ("", "_mask")
    return {one.name + kind: f"{one.name}{kind} {one.title}".strip() for one in objects for kind in kinds}


def _present(frame: Frame, name: str, image: Float[Tensor, "h w c"], selected: frozenset[int]) -> Tensor:
    if name == "confidence":
        image = colormaps.apply_colormap(image)
    elif name.endswith("_mask"):
        image = image.expand(-1, -1, 3)
    if not selected or name not in OUTLINED or not frame.model.objects:
        return image
    ids = frame.edited_ids() if name == "edited" and frame.remembers_owners else frame.labels()["id"]
    inside = torch.isin(ids, torch.tensor(sorted(selected), device=ids.device))
    return outline(image, frame.image(inside)[..., 0].bool())


def outline(image: Float[Tensor, "h w 3"], inside: Bool[Tensor, "h w"]) -> Float[Tensor, "h w 3"]:
    """An image with a white line around some pixels, not around specks, and a dark one around that if there is room."""
    smooth = avg_pool2d(inside[None].float(), 3, stride=1, padding=1)[0] > 0.5
    width = max(round(min(inside.shape) / 200), 1)
    near = dilate(smooth, width)
    border = dilate(near, width) & ~near if min(inside.shape) >= ROOM else torch.zeros_like(near)
    return torch.where((near & ~smooth)[..., None], 1.0, torch.where(border[..., None], 0.4 * image, image))


def dilate(mask: Bool[Tensor, "h w"], by: int) -> Bool[Tensor, "h w"]:
    """A mask grown by some pixels, diagonally too."""
    return max_pool2d(mask[None].float(), 2 * by + 1, stride=1, padding=by)[0] > 0
