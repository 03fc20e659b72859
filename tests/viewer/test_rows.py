"""The list of objects: quick with many, still under the mouse, readable."""

from __future__ import annotations

import colorsys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import viser
from hypothesis import given
from hypothesis import strategies as st

from disconerf_ns.scene.edit import LUMA
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.viewer.rows import Rows, look

NOBODY: frozenset[int] = frozenset()


def thing(slot: int, share: float, confidence: float = 0.5, title: str = "") -> SceneObject:
    color = colorsys.hsv_to_rgb(slot / 200, 0.6, 0.8)
    return SceneObject(
        ObjectId(slot),
        slot,
        title,
        color,
        share,
        confidence,
        3,
        ((0.0,) * 3, (1.0,) * 3),
        slots=frozenset([slot]),
        whole=True,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[viser.ViserServer]:
    server = viser.ViserServer(host="127.0.0.1", port=0)
    yield server
    server.stop()


@pytest.fixture
def rows(server: viser.ViserServer) -> Rows:
    return Rows(server, server.gui.add_folder("Objects"), lambda _: None)


def shown(rows: Rows) -> list[int]:
    """Slots from top to bottom."""
    return sorted(rows._rows, key=lambda slot: rows._rows[slot][1].order)


def handles(rows: Rows) -> dict[int, viser.GuiButtonHandle]:
    return {slot: handle for slot, (_, handle) in rows._rows.items()}


def test_the_largest_comes_first_and_new_ones_come_last(rows: Rows) -> None:
    rows.update([thing(0, 0.2), thing(1, 0.5), thing(2, 0.3)], NOBODY, (), "")
    assert shown(rows) == [1, 2, 0]
    rows.update([thing(0, 0.9), thing(1, 0.1), thing(2, 0.3), thing(3, 0.7), thing(4, 0.8)], NOBODY, (), "")
    assert shown(rows) == [1, 2, 0, 4, 3], "what was there stays where it was"


def test_sorting(rows: Rows) -> None:
    objects = [thing(0, 0.2, 0.9), thing(1, 0.5, 0.1, "zebra"), thing(2, 0.3, 0.5, "Apple")]
    for by, expected in (("size", [1, 2, 0]), ("confidence", [1, 2, 0]), ("name", [2, 0, 1])):
        rows.sort(objects, by)
        rows.update(objects, NOBODY, (), "")
        assert shown(rows) == expected


def test_searching_by_either_name_keeps_places(rows: Rows) -> None:
    objects = [thing(0, 0.2, title="Red Mug"), thing(1, 0.5), thing(2, 0.3, title="mug")]
    rows.update(objects, NOBODY, (), "MUG")
    assert shown(rows) == [2, 0]
    rows.update(objects, NOBODY, (), "object_01")
    assert shown(rows) == [1]
    rows.update(objects, NOBODY, (), "")
    assert shown(rows) == [1, 2, 0]


def test_only_rows_that_look_different_are_touched(rows: Rows) -> None:
    objects = [thing(slot, 1 / (slot + 2)) for slot in range(200)]
    rows.update(objects, NOBODY, (), "")
    before = handles(rows)
    objects[7] = replace(objects[7], title="named")
    start = time.process_time()
    rows.update(objects[:-1], frozenset({50}), (60,), "")
    assert time.process_time() - start < 0.2
    after = handles(rows)
    assert before.keys() - after.keys() == {199}
    assert {slot for slot in after if after[slot] is not before[slot]} == {7, 50, 60}
    assert shown(rows) == list(range(199))


def test_a_row_tells_name_share_confidence_and_state() -> None:
    one = thing(3, 0.1234, 0.987, "teapot")
    assert all(part in look(one, False, False).label for part in ("teapot", "12.3%", "0.99"))
    assert len({look(one, hidden, selected) for hidden in (False, True) for selected in (False, True)}) == 4


@given(st.tuples(*[st.floats(0, 1)] * 3), st.booleans(), st.booleans())
def test_white_text_can_be_read_on_every_row(rgb: tuple[float, float, float], hidden: bool, selected: bool) -> None:
    color = look(replace(thing(0, 0.1), color=rgb), hidden, selected).color
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    assert sum(weight * channel for weight, channel in zip(LUMA, channels)) < 0.51


def test_a_click_selects(server: viser.ViserServer) -> None:
    chosen: list[int] = []
    rows = Rows(server, server.gui.add_folder("Objects"), chosen.append)
    rows.update([thing(0, 0.2), thing(1, 0.5)], NOBODY, (), "")
    for callback in handles(rows)[1]._impl.update_cb:
        callback(viser.GuiEvent(None, 0, handles(rows)[1]))
    assert chosen == [1]
