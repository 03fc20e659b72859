"""The viewer as a person has it: a real page in a real browser, its pixels, and what became of the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from browser import Page, find_chromium, open_page, wait_for
from helpers import needs_system_package

from disconerf_ns.scene.edit import Edit

PICTURES = Path("outputs/screenshots")
"""Where the screenshots are kept."""
PANEL = 1120
"""Left edge of the panel; the scene is drawn on its left."""
COLORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "red": lambda r, g, b: (r > 120) & (r > 1.6 * g) & (r > 1.6 * b),
    "green": lambda r, g, b: (g > 80) & (g > 1.4 * r) & (g > 1.3 * b),
    "blue": lambda r, g, b: (b > 100) & (b > 1.5 * r) & (b > 1.4 * g),
}
"""The balls of the scene, told by their colour."""


SEEN = 0.5
"""Part of a ball's pixels that are still seen under the outline of a selected one, or beside where another one was."""
GONE = 0.2
"""Part of a ball's pixels below which it is gone: where it touched others a field of a minute does not know its end."""


def places(page: Page, color: str, keep: str | None = None) -> np.ndarray:
    """Pixels (n, 2), x and y, of a ball in the picture of the scene."""
    picture = page.picture(PICTURES / f"{keep}.png" if keep else None)[60:, :PANEL].astype(float)
    y, x = COLORS[color](*picture.transpose(2, 0, 1)).nonzero()
    return np.stack([x, y + 60], 1)


def steady_sizes(page: Page) -> dict[str, int] | None:
    """Pixels of each ball, where all are there and one moment is as the next."""
    sizes, again = ({color: len(places(page, color, "1 scene")) for color in COLORS} for _ in range(2))
    return sizes if sizes == again and min(sizes.values()) > 1000 else None


def test_objects_are_picked_hidden_isolated_and_named(viewer, tmp_path: Path) -> None:
    needs_system_package("chromium", find_chromium() is not None)
    current, editor = viewer.pipeline.model.current, viewer.pipeline.object_control.editor
    viewer.control_panel._max_res.value = 128
    url = f"http://127.0.0.1:{viewer.viser_server.get_port()}/"
    PICTURES.mkdir(parents=True, exist_ok=True)
    with open_page(url, tmp_path / "profile", PICTURES / "failure.png") as page:
        page.press("Objects")
        names = [one.name for one in current.value.objects]
        wait_for(lambda: all(page.shows(name) for name in names), "a row for every object")
        wait_for(lambda: page.shows("Resolution: 128x"), "a sharp picture", 120)
        sizes = wait_for(lambda: steady_sizes(page), "the three balls")

        page.choose("Clicks", "select an object")
        wait_for(lambda: viewer.viser_server.scene._scene_pointer_cb is not None, "clicks that select")
        page.click(*np.median(places(page, "red"), axis=0).tolist())
        (red,) = wait_for(lambda: editor.selected, "a selected object")
        (name,) = (one.name for one in current.value.objects if one.id == red)
        wait_for(lambda: page.shows(f"✓ {name}"), "its mark in the list")
        wait_for(lambda: page.value("Name") == name, "its name in the field")

        page.press("hide")
        wait_for(lambda: len(places(page, "red")) < GONE * sizes["red"], "the red ball to go")
        assert current.value.edit == Edit(hidden=frozenset({red}))
        assert len(places(page, "green", "2 hidden")) > SEEN * sizes["green"]
        wait_for(lambda: page.shows(f"{name}") and page.shows("hidden"), "the row to say so")

        page.press("undo")
        wait_for(lambda: len(places(page, "red")) > SEEN * sizes["red"], "the red ball to come back")
        assert current.value.edit == Edit()

        page.press("only")
        wait_for(lambda: len(places(page, "blue")) < GONE * sizes["blue"], "the blue ball to go")
        wait_for(lambda: len(places(page, "red", "3 alone")) > SEEN * sizes["red"], "the red ball alone")
        assert len(places(page, "green")) < GONE * sizes["green"]
        assert (
            red not in current.value.edit.hidden
            and {one.id for one in current.value.objects} - {red} <= current.value.edit.hidden
        )

        page.press("undo")
        page.write("Name", "red ball")
        wait_for(lambda: page.shows("✓ red ball"), "the new name in the list")
        assert current.value.edit == Edit(names={red: "red ball"})
        wait_for(lambda: f"{name} red ball" in viewer.control_panel._output_render.options, "its output's name")
        places(page, "red", "4 named")
        page.press("undo")
        wait_for(lambda: not page.shows("red ball") and page.shows(name), "the old name in the list")
        assert current.value.edit == Edit()
