"""The pictures that the viewer's clients look at, kept while the camera stays so that an edit is seen at once."""

from __future__ import annotations

import logging
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from threading import Thread
from typing import NamedTuple

import torch
from jaxtyping import Bool
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.scene_box import OrientedBox
from torch import Tensor

from disconerf_ns.compat.interruptions import uninterrupted
from disconerf_ns.compat.viewer import IOChangeException
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.lazy_outputs import LazyOutputs
from disconerf_ns.rendering.outputs import Needs, Output, output_table
from disconerf_ns.rendering.preview import Preview
from disconerf_ns.rendering.turns import let_go
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.viewer.outline import among
from disconerf_ns.viewer.presented import computed, failed
from disconerf_ns.viewer.tiles import Canvas, Images, Tiles, resized
from disconerf_ns.viewer.views import glimpsed, same_camera, same_view
from disconerf_ns.viewer.workers import Workers

KEPT = 2**19
"""Most rays of a picture that is kept."""
QUICK, QUICK_ON_GPU = 1536, 2**18
"""Rays that are sampled before a change is seen for the first time; a GPU samples all rays of a still picture in the
time in which a CPU samples a few."""
LONG, SIDE = 8192, 48
"""Rays to sample from which on a picture becomes sharp tile by tile, fewer take a CPU half a second; and about the side
of a tile in pixels, a tenth of a second."""
PAUSE = 0.4
"""Seconds between two pictures that are shown while a picture becomes sharp."""

_log = logging.getLogger(__name__)


class Looks(NamedTuple):
    """The scene and the selection that a picture shows."""

    scene: ArrangedScene
    selected: frozenset[ObjectId] = frozenset()


@dataclass(eq=False)
class _Kept:
    """A picture of a client, in tiles while it becomes sharp."""

    camera: Cameras
    step: int
    picture: Frame | Tiles


class Pictures:
    """The pictures of the viewer's clients. Each is of one scene value, whatever changes while it is drawn.

    Args:
        current: the scene that is shown.
        tell: shows a person a sentence.
        selected: gives the ids of the objects that are marked for a client.
        send: shows a client the outputs of a picture that is not sharp everywhere yet.
        sharpening: hears how much of a client's picture is sharp, in [0, 1]; None while it waits for completions.
    """

    def __init__(
        self,
        current: CurrentScene,
        tell: Callable[[str], None],
        selected: Callable[[Thread], frozenset[ObjectId]] = lambda client: frozenset(),
        send: Callable[[Thread, LazyOutputs], None] = lambda client, outputs: None,
        sharpening: Callable[[Thread, float | None], None] = lambda client, fraction: None,
    ):
        self.current, self.tell, self.selected = current, tell, selected
        self.send, self.sharpening = send, sharpening
        self.step = 0
        """Of the training; pictures of another step are out of date."""
        self._drawing: set[Thread] = set()
        self._looks: weakref.WeakKeyDictionary[Thread, Looks | None] = weakref.WeakKeyDictionary()
        """Scene and selection of each client's picture, the one in work or else the last one; None if there is none."""
        self._workers = Workers()
        self._pictures: weakref.WeakKeyDictionary[Thread, deque[_Kept]] = weakref.WeakKeyDictionary()

    @property
    def drawing(self) -> frozenset[Thread]:
        """Clients whose pictures are being computed; of one that has left, whatever ended its thread, there is none."""
        return frozenset(client for client in tuple(self._drawing) if client.is_alive())

    def is_stale(self, client: Thread) -> bool:
        """Whether a client's picture shows another scene or selection than there is now."""
        return client in self._looks and self._looks[client] != self._looks_of(client, self.current.value)

    def _looks_of(self, client: Thread, scene: ArrangedScene) -> Looks:
        return Looks(scene, self.selected(client) if scene.objects else frozenset())

    def show(
        self,
        client: Thread,
        camera: Cameras,
        names: Sequence[str],
        obb_box: OrientedBox | None = None,
        glimpse: bool = False,
    ) -> LazyOutputs:
        """Every output for a client's camera, those computed that it is about to draw, `names`.

        The viewer asks for a coarse picture after every change and for a sharp one later. Where the sharp one of the
        same camera is at hand, or a part of it, it is taken instead, or a preview of it where an edit takes longer.
        A sharp one that takes long is shown while it becomes sharp; what was computed is kept when it is interrupted.
        A picture that fails is grey: nerfstudio's render thread would end, and the client's picture stay as it is, if
        it raised.

        Args:
            client: whose picture it is.
            camera: from which it is seen.
            names: of the outputs.
            obb_box: what is outside of it is left out.
            glimpse: whether it is a coarse picture, which nerfstudio does not interrupt: it has few rays, and waits for
                no completion of what comes to light.
        """
        scene, before = self.current.value, self._looks.get(client)
        self._drawing.add(client)
        try:
            looks = self._looks[client] = self._looks_of(client, scene)
            outputs = self._drawn(client, *looks, camera, names, obb_box, glimpse)
        except Exception as error:
            if is_interruption(error):
                with uninterrupted():
                    self._looks[client] = before
                raise IOChangeException from error
            with uninterrupted():
                _log.exception("a picture could not be drawn")
                self.tell(f"The picture could not be drawn ({type(error).__name__}: {error}); the log has the details.")
            outputs = failed(names, int(camera.height), int(camera.width), scene.trained.radiance.device)
        finally:
            with uninterrupted():
                let_go()
                self._drawing.discard(client)
        return outputs

    def _drawn(
        self,
        client: Thread,
        scene: ArrangedScene,
        selected: frozenset[ObjectId],
        camera: Cameras,
        names: Sequence[str],
        obb_box: OrientedBox | None,
        glimpse: bool,
    ) -> LazyOutputs:
        table = {output.caption: output for output in output_table(scene).values()}
        drawn = [table.get(name, table["rgb"]) for name in names]
        seen = glimpsed(camera) if glimpse and not is_fast(scene) else camera
        if obb_box is not None:
            images = Images(Frame.seen_by(scene, seen, obb_box=obb_box))
        else:
            images = self._images(client, scene, selected, seen, drawn, glimpse)
        outputs = computed(images, selected, drawn)
        if scene.trained.radiance.device.type == "cuda":
            torch.cuda.synchronize()  # nerfstudio takes the time until here to choose the size of coarse pictures
        size = int(camera.height), int(camera.width)
        if "depth" in names and outputs["depth"].shape[:2] != size:
            # the viewer multiplies depth by rays of the size that it asked for
            outputs["depth"] = resized(outputs["depth"], size, "nearest-exact")
        return outputs

    def _images(
        self,
        client: Thread,
        scene: ArrangedScene,
        selected: frozenset[ObjectId],
        camera: Cameras,
        drawn: list[Output],
        glimpse: bool,
    ) -> Images | Canvas:
        kept = self._pictures.setdefault(client, deque(maxlen=2))
        size = height, width = int(camera.height), int(camera.width)
        same = [each for each in kept if each.step == self.step and same_view(each.camera, camera)]
        for each in same:
            each.picture = each.picture.under(scene)
        larger = max(
            (each for each in same if each.picture.shape > size), key=lambda each: each.picture.shape, default=None
        )
        needed = with_objects(drawn, scene) if selected else drawn
        if larger is not None:
            with uninterrupted():
                kept.remove(larger)
                kept.append(larger)
            if isinstance(larger.picture, Frame) and (found := at_once(larger.picture, needed)) is not None:
                return Images(found)
        asked = next((each for each in same if each.picture.shape == size and same_camera(each.camera, camera)), None)
        if asked is None:
            asked = _Kept(camera, self.step, Frame.seen_by(scene, camera, keep=height * width <= KEPT))
            kept.append(asked)
        if larger is not None and isinstance(larger.picture, Tiles) and isinstance(asked.picture, Frame):
            return painted(soon(asked.picture, needed), larger.picture, needed, drawn, bool(selected))
        if isinstance(asked.picture, Frame) and glimpse:
            return Images(soon(asked.picture, needed))
        if isinstance(asked.picture, Frame) and (is_fast(scene) or is_ready(asked.picture, needed, LONG)):
            return Images(asked.picture)
        coarse = at_once(asked.picture, needed) if isinstance(asked.picture, Frame) else None
        if coarse is None:
            smaller = (each.picture for each in same if each.picture.shape < size)
            coarse = next((soon(picture, needed) for picture in smaller if isinstance(picture, Frame)), None)
        try:
            return Images(self._sharpen(client, asked, coarse, needed, drawn, selected))
        finally:  # also after an interruption, as the next picture may be at hand and never become sharp by and by
            with uninterrupted():
                self.sharpening(client, 1.0)

    def _sharpen(
        self,
        client: Thread,
        kept: _Kept,
        coarse: Frame | None,
        needed: list[Output],
        drawn: list[Output],
        selected: frozenset[ObjectId],
    ) -> Frame:
        """Compute a picture tile by tile, those of the selected objects first, and show it meanwhile."""
        if isinstance(kept.picture, Frame):
            kept.picture = Tiles.of(kept.picture, SIDE)
        tiles, seen = kept.picture, time.monotonic()
        canvas = None if coarse is None else painted(coarse, tiles, needed, drawn, bool(selected))
        ordered = tiles.nearest_first(focus(coarse, tiles.shape, selected))
        waits = edits(needed) and not tiles.whole.scene.edits_at_once
        with uninterrupted():
            self.sharpening(client, None if waits else 0.0)
        first, *others = ordered
        draw(needed, first[1])  # and with it what all tiles need
        works = [partial(draw, needed, frame) for _, frame in others]
        with closing(self._workers.done(tiles.whole.scene.trained.radiance, works)) as done:
            for number, (tile, frame) in enumerate(chain([first], (others[place] for place in done)), 1):
                if canvas is None:
                    continue
                canvas.paint(tile, frame)
                if number < len(ordered) and time.monotonic() > seen + PAUSE:
                    with uninterrupted():
                        self.send(client, computed(canvas, selected, drawn))
                        self.sharpening(client, number / len(ordered))
                    seen = time.monotonic()
        kept.picture = whole = tiles.joined()
        return whole


def draw(outputs: Sequence[Output], frame: Frame) -> None:
    """Compute outputs of a frame, which keeps what they take."""
    for output in outputs:
        output.draw(frame)


def is_interruption(error: BaseException | None) -> bool:
    """Whether nerfstudio wants another picture; code that it interrupted may have raised an error of its own then."""
    while error is not None and not isinstance(error, IOChangeException):
        error = error.__context__
    return error is not None


def is_fast(scene: ArrangedScene) -> bool:
    """Whether all rays of a still picture are sampled in the time in which a CPU samples a few."""
    return scene.trained.radiance.device.type == "cuda"


def quick_rays(scene: ArrangedScene) -> int:
    """Rays that may be sampled before a change is seen."""
    return QUICK_ON_GPU if is_fast(scene) else QUICK


def is_ready(frame: Frame, needed: Sequence[Output], most: int) -> bool:
    """Whether a frame can draw outputs without asking the networks about more than some rays."""
    return all(output.waiting(frame) <= most for output in needed)


def at_once(frame: Frame, needed: Sequence[Output], quick: int | None = None) -> Frame | None:
    """A kept frame, or its preview, that can draw some outputs without asking the networks about many rays, or None.

    Args:
        quick: how many rays are few; by default as many as may be sampled before a change is seen.
    """
    most = quick_rays(frame.scene) if quick is None else quick
    if is_ready(frame, needed, most):
        return frame
    exact = [output for output in needed if output.needs is not Needs.LABELS and not (output.edits and frame.keep)]
    if frame.has_images and is_ready(frame, exact, most):
        return frame.previewed(Preview(most))
    return None


def edits(needed: Sequence[Output]) -> bool:
    """Whether some of the outputs show the edited scene."""
    return any(output.edits for output in needed)


def soon(frame: Frame, needed: Sequence[Output]) -> Frame:
    """A frame of few rays, or a preview of it where the frame itself would wait for completions."""
    if edits(needed) and frame.keep and not frame.scene.edits_at_once:
        return frame.previewed(Preview(quick_rays(frame.scene)))
    return frame


def with_objects(drawn: list[Output], scene: ArrangedScene) -> list[Output]:
    """Outputs, and the one that says where objects are if it is needed to mark selected ones."""
    if any(output.outlined and not (output.edits and scene.repaints) for output in drawn):
        return [*drawn, output_table(scene)["objects"]]
    return drawn


def painted(coarse: Frame, tiles: Tiles, needed: list[Output], drawn: list[Output], outlining: bool) -> Canvas:
    """What there is to see of a picture in tiles: those that are at hand, or a preview of them, over a coarse one."""
    canvas = Canvas(coarse, tiles.shape, drawn, outlining)
    if coarse.shape == tiles.shape:  # it is the preview
        return canvas
    quick = quick_rays(coarse.scene) // len(tiles.frames)
    for tile, frame in zip(tiles.tiles, tiles.frames):
        if (found := at_once(frame, needed, quick)) is not None:
            canvas.paint(tile, found)
    return canvas


def focus(coarse: Frame | None, shape: tuple[int, ...], selected: frozenset[ObjectId]) -> Bool[Tensor, "h w"] | None:
    """The pixels of the selected objects in a picture of a shape, where a coarse one knows them."""
    if coarse is None or not selected or not coarse.has_labels:
        return None
    inside = among(coarse.image(coarse.labels().id)[..., 0], selected)
    return resized(inside[..., None], shape, "nearest-exact")[..., 0]
