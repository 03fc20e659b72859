"""What is quick where neither shapes nor icons are looked at: coarse objects, and icons that are unpacked once."""

from __future__ import annotations

from functools import cache

import pytest

COARSE = {
    "facts.views.RAYS": 7_000,
    "filming.trial.SIZE": 24,
    "scene.arranged.SOLID_RESOLUTION": 32,
    "scene.clean.RESOLUTION": 32,
}
"""Rays of all training views that tell who sees what; pixels of a trial picture's side; voxels per axis of an object,
which are found in an eighth of the time."""


def look_coarsely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for objects with fewer rays, in fewer voxels, and in trial pictures of fewer pixels."""
    for name, side in COARSE.items():
        monkeypatch.setattr(f"disconerf_ns.{name}", side)


def unpack_icons_once() -> None:
    """Unpack each of viser's icons once: it opens its archive anew for every button, which takes seconds a viewer."""
    from viser import _gui_api, _gui_handles

    cached = cache(_gui_api.svg_from_icon)
    _gui_api.svg_from_icon = _gui_handles.svg_from_icon = cached
