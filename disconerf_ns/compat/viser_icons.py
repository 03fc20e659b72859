"""Unpack each of viser's icons once: viser 0.2 opens the archive of all its icons anew for every button with one."""

from __future__ import annotations

from functools import cache

from viser import _gui_api, _gui_handles, _icons


def unpack_icons_once() -> None:
    """Keep every icon that a button of this process has had."""
    if hasattr(_icons.svg_from_icon, "cache_info"):  # viser 1 does so by itself
        return
    kept = cache(_icons.svg_from_icon)
    for module in (_gui_api, _gui_handles):
        vars(module).update(svg_from_icon=kept)
