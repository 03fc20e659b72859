"""Whether surfaces of views fit together tells a radiance field that has learned nothing from masks that disagree."""

from __future__ import annotations

import pytest
import torch
from tiny_run import Run
from torch.nn.functional import normalize

from disconerf_ns.discovery.explanation import said_of_explained
from disconerf_ns.surface.fitting import LEAST, SeenSurface, fitting, said_of_fitting
from disconerf_ns.surface.samples import SurfaceSamples


def wall_seen_from(x: float, nearer: float = 1.0) -> SeenSurface:
    """A wall at z = 0 from a place before it, drawn nearer along the rays by a factor."""
    side = torch.linspace(-1, 1, 30)
    wall = torch.cat([torch.cartesian_prod(side, side), torch.zeros(900, 1)], 1)
    origin = torch.tensor([x, 0.0, 3.0])
    return SeenSurface(origin, origin + nearer * (wall - origin))


def test_views_of_one_wall_fit_and_what_is_close_to_each_camera_does_not() -> None:
    fits, looked = fitting([wall_seen_from(-1.0), wall_seen_from(1.0)])
    assert looked > 800 and fits == looked
    fits, looked = fitting([wall_seen_from(0.0), wall_seen_from(0.0, 0.8)])
    assert (fits, looked) == (0, 900), "every other point of the same rays; a fifth is more than the slack"
    assert fitting([wall_seen_from(0.0), wall_seen_from(0.0, 0.95)]) == (900, 900)
    fits, looked = fitting([wall_seen_from(-0.4, 0.5), wall_seen_from(0.0, 0.7), wall_seen_from(0.4, 0.9)])
    assert looked > 800 and fits == 0
    assert fitting([wall_seen_from(-1.0, 0.2), wall_seen_from(1.0, 0.2)]) == (0, 0), "out of each other's sight"


def test_views_without_a_surface_or_of_different_things_have_nothing_to_compare() -> None:
    one, nothing = wall_seen_from(0.0), SeenSurface(torch.zeros(3), torch.zeros(0, 3))
    elsewhere = SeenSurface(one.origin, 2 * one.origin - one.points)
    assert fitting([one, nothing]) == fitting([one]) == fitting([one, elsewhere]) == fitting([]) == (0, 0)


def test_the_radiance_field_is_named_where_it_is_at_fault() -> None:
    """Masks were said not to agree, or not to belong to the images, after two photographs had taught the field."""
    assert said_of_fitting(LEAST) is None
    why = said_of_fitting(0.15)
    assert why is not None and "(15% of what a photograph shows lies where others see it)" in why
    said = said_of_explained(1, 30, lambda: why)
    assert said.startswith(
        "the objects explain 1 of 30 masks, hardly any, because the surfaces of the views do not fit"
    )
    assert "do the masks belong" not in said
    assert "do the masks belong" in said_of_explained(1, 30, lambda: None)
    assert said_of_explained(20, 30, lambda: pytest.fail("nobody asks")) == "the objects explain 20 of 30 masks."


def test_a_trained_field_is_not_at_fault_and_a_cloud_at_each_camera_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = run.trainer.pipeline.object_stage
    assert stage._why_not_the_masks() is None
    contraction, clouds = stage.model.current.value.trained.radiance.contraction, []
    for view in stage.datamanager.views:
        rays = stage.datamanager.view_rays(view)
        close = rays.origins + 0.2 * normalize(rays.directions, dim=-1)
        clouds.append(SurfaceSamples.pack(contraction(close)[:, None], torch.ones(len(rays))))
    monkeypatch.setattr(stage, "surfaces", clouds)
    assert "do not fit together" in (stage._why_not_the_masks() or "")
