"""Unpack each of viser's icons once: viser 0.2 opens the archive of all its icons anew for every button with one."""

from __future__ import annotations

from functools import cache

from viser import _gui_api, _gui_handles


def unpack_icons_once() -> None:
    """Keep every icon that a button of this process has had."""
    if not hasattr(_gui_api.svg_from_icon, "cache_info"):  # viser 1 does so by itself
        _gui_api.svg_from_icon = _gui_handles.svg_from_icon = cache(_gui_api.svg_from_icon)
