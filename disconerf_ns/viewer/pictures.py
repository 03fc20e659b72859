"""The pictures that the viewer's clients look at, kept while the camera stays so that an edit is seen at once."""

from __future__ import annotations

import logging
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from threading import Thread
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.utils import colormaps
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from disconerf_ns.compat.viewer import IOChangeException
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.lazy_outputs import LazyOutputs
from disconerf_ns.rendering.outputs import Needs, Output, Shown, output_table
from disconerf_ns.rendering.preview import Preview
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.objects import ObjectId

KEPT = 2**19
"""Most rays of a picture that is kept."""
QUICK, QUICK_ON_GPU = 1536, 2**18
"""Rays that are sampled before a change is seen for the first time; a GPU samples all rays of a still picture in the
time in which a CPU samples a few."""
ROOM = 160
"""Least side of a picture whose outlines are two lines."""
FAILED = 0.5
"""Grey value of a picture that could not be drawn."""

_log = logging.getLogger(__name__)


class _Kept(NamedTuple):
    """A picture of a client."""

    camera: Cameras
    step: int
    frame: Frame


class Pictures:
    """The pictures of the viewer's clients. Each is of one scene value, whatever changes while it is drawn.

    Args:
        current: the scene that is shown.
        tell: shows a person a sentence.
    """

    def __init__(self, current: CurrentScene, tell: Callable[[str], None]):
        self.current, self.tell = current, tell
        self.selected: frozenset[ObjectId] = frozenset()
        """Ids of the objects that are outlined."""
        self.step = 0
        """Of the training; pictures of another step are out of date."""
        self.drawing: set[Thread] = set()
        """Clients whose pictures are being computed."""
        self._frames: weakref.WeakKeyDictionary[Thread, deque[_Kept]] = weakref.WeakKeyDictionary()

    def show(
        self, client: Thread, camera: Cameras, names: Sequence[str], obb_box: OrientedBox | None = None
    ) -> LazyOutputs:
        """Every output for a client's camera, those computed that it is about to draw, `names`.

        The viewer asks for a coarse picture after every change and for a sharp one later. Where the sharp one of the
        same camera is at hand, it is taken instead, or a preview of it where an edit takes longer. A picture that fails
        is grey: nerfstudio's render thread would end, and the client's picture stay as it is, if it raised.
        """
        scene, selected = self.current.value, self.selected
        self.drawing.add(client)
        try:
            return self._drawn(client, scene, selected, camera, names, obb_box)
        except Exception as error:
            if is_interruption(error):
                raise IOChangeException from error
            _log.exception("a picture could not be drawn")
            self.tell(f"The picture could not be drawn ({type(error).__name__}: {error}); the log has the details.")
            return failed(names, int(camera.height), int(camera.width), scene.trained.radiance.device)
        finally:
            self.drawing.discard(client)

    def _drawn(
        self,
        client: Thread,
        scene: ArrangedScene,
        selected: frozenset[ObjectId],
        camera: Cameras,
        names: Sequence[str],
        obb_box: OrientedBox | None,
    ) -> LazyOutputs:
        table = {output.caption: output for output in output_table(scene).values()}
        drawn = [table.get(name, table["rgb"]) for name in names]
        if obb_box is not None:
            frame = frame_of(scene, camera, obb_box=obb_box)
        else:
            frame = self._frame(client, scene, camera, drawn, bool(selected))
        outputs = presented(frame, selected)
        for output in drawn:
            outputs[output.caption]
        if scene.trained.radiance.device.type == "cuda":
            torch.cuda.synchronize()  # nerfstudio takes the time until here to choose the size of coarse pictures
        size = int(camera.height), int(camera.width)
        if frame.shape != size:  # the viewer multiplies depth by rays of the size that it asked for
            outputs["depth"] = interpolate(outputs["depth"].permute(2, 0, 1)[None], size)[0].permute(1, 2, 0)
        return outputs

    def _frame(
        self, client: Thread, scene: ArrangedScene, camera: Cameras, drawn: list[Output], outlining: bool
    ) -> Frame:
        frames = self._frames.setdefault(client, deque(maxlen=2))
        size = height, width = int(camera.height), int(camera.width)
        if outlining and any(output.outlined for output in drawn):
            drawn = [*drawn, output_table(scene)["objects"]]
        largest_first = sorted(enumerate(frames), key=lambda kept: -kept[1].frame.shape[0])
        for place, kept in largest_first:
            same = same_camera if kept.frame.shape == size else same_view
            if kept.step != self.step or kept.frame.shape < size or not same(kept.camera, camera):
                continue
            frame = kept.frame.under(scene)
            frames[place] = kept._replace(frame=frame)
            found = frame if frame.shape == size else at_once(frame, drawn)
            if found is not None:
                frames.rotate(len(frames) - 1 - place)
                return found
        frame = frame_of(scene, camera, keep=height * width <= KEPT)
        frames.append(_Kept(camera, self.step, frame))
        return frame


def is_interruption(error: BaseException | None) -> bool:
    """Whether nerfstudio wants another picture; code that it interrupted may have raised an error of its own then."""
    while error is not None and not isinstance(error, IOChangeException):
        error = error.__context__
    return error is not None


def frame_of(scene: ArrangedScene, camera: Cameras, keep: bool = False, obb_box: OrientedBox | None = None) -> Frame:
    """The frame of a camera, of the part of the scene in a box where there is one."""
    rays = camera.generate_rays(camera_indices=0, keep_shape=True, obb_box=obb_box)
    return Frame(scene, rays.flatten(), tuple(rays.origins.shape[:2]), keep=keep)


def at_once(frame: Frame, drawn: Sequence[Output]) -> Frame | None:
    """A kept frame, or its preview, that can draw some outputs without asking the networks about many rays, or None."""
    quick = QUICK_ON_GPU if frame.scene.trained.radiance.device.type == "cuda" else QUICK
    if all(output.waiting(frame) <= quick for output in drawn):
        return frame
    good = {Needs.LABELS, Needs.EDITED} if frame.remembers_owners else {Needs.LABELS}
    others = [output for output in drawn if output.needs not in good]
    if frame.has_images and all(output.waiting(frame) <= quick for output in others):
        return frame.previewed(Preview(quick))
    return None


def same_camera(kept: Cameras, camera: Cameras) -> bool:
    """Whether two cameras see the same, to the last digit."""
    names = "camera_to_worlds", "camera_type", "fx", "fy", "cx", "cy", "width", "height"
    return all(torch.equal(getattr(kept, name), getattr(camera, name)) for name in names)


def same_view(kept: Cameras, camera: Cameras) -> bool:
    """Whether two cameras see about the same at two sizes, whose focal lengths the viewer rounds differently."""
    return (
        torch.equal(kept.camera_to_worlds, camera.camera_to_worlds)
        and torch.equal(kept.camera_type, camera.camera_type)
        and abs(float(kept.fy / kept.height) / float(camera.fy / camera.height) - 1) < 0.01
        and abs(float(kept.width / kept.height) / float(camera.width / camera.height) - 1) < 0.05
    )


def presented(frame: Frame, selected: frozenset[ObjectId]) -> LazyOutputs:
    """A frame's outputs as the viewer shows them: under the objects' names, coloured, the selected objects outlined.

    An output that is gone, because its object was merged meanwhile, shows the scene.
    """
    listed, unlisted = {}, {}
    for output in output_table(frame.scene).values():
        draw = lambda output=output: _present(frame, output, selected)  # noqa: E731
        unlisted[output.name] = draw
        if output.listed:
            listed[output.caption] = draw
    return LazyOutputs(listed, unlisted, fallback="rgb")


def _present(frame: Frame, output: Output, selected: frozenset[ObjectId]) -> Tensor:
    image = frame.image(output.draw(frame))
    if output.shown is Shown.CONFIDENCE:
        image = colormaps.apply_colormap(image)
    elif output.shown is Shown.GRAY:
        image = image.expand(-1, -1, 3)
    if not selected or not output.outlined or not frame.scene.objects:
        return image
    ids = output.ids(frame)
    inside = torch.isin(ids, torch.tensor(sorted(selected), device=ids.device))
    return outline(image, frame.image(inside)[..., 0].bool())


def failed(names: Sequence[str], height: int, width: int, device: torch.device) -> LazyOutputs:
    """Outputs of a picture that could not be drawn: grey, and no depth. The scene, which failed, is not asked again."""
    recipes = {name: lambda: torch.full((height, width, 3), FAILED, device=device) for name in ("rgb", *names)}
    recipes["depth"] = lambda: torch.zeros(height, width, 1, device=device)
    return LazyOutputs(recipes, fallback="rgb")


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
