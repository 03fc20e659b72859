"""Gaussians of a file or of a splatfacto run, placed in the scene."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nerfstudio.cameras.rays import RayBundle

from disconerf_ns.export.splats_frame import FrameOfSplats, GivenSplats, decide
from disconerf_ns.export.splats_sampled import look_at_all
from disconerf_ns.gaussians.splats import Splats
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.similarity import Similarity


def placed(
    splats: Splats,
    to_capture: Similarity | None,
    frame: FrameOfSplats,
    scene: ArrangedScene,
    capture: Similarity,
    views: Callable[[], Iterable[RayBundle]],
) -> GivenSplats:
    """Say where gaussians are in the scene.

    Args:
        splats: as they were read.
        to_capture: takes their coordinates to the capture's, where a run says it.
        frame: of a file; "auto" decides by the surface on which the gaussians have to lie.
        scene: whose surface decides.
        capture: takes the scene's coordinates to the capture's.
        views: gives flat rays of the training views, by which the surface is found.
    Raises:
        UserError: they fit nowhere.
    """
    to_scene = capture.inverse()
    if to_capture is not None:
        return GivenSplats(splats, to_scene @ to_capture, "scene of the splatfacto run, whose files say where it is")
    frames = {"capture": to_scene, "scene": Similarity()}
    if frame != "auto":
        return GivenSplats(splats, frames[frame], f"{frame}, as was said")
    surface, radiance = look_at_all(scene, views()).positions, scene.trained.radiance
    with radiance.still():
        best, placement, fits = decide(splats.selected(splats.finite), frames, surface, radiance.contraction)
    evidence = ", ".join(f"{name} {fit.score:.2f}" for name, fit in fits.items())
    return GivenSplats(splats, placement, f"{best}, as the surface says (fit from 0 to 1: {evidence})")
