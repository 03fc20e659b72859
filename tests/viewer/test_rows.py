"""The list of objects: quick with many, still under the mouse, readable."""

from __future__ import annotations

import colorsys
import itertools
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import msgspec
import pytest
import viser
from helpers import alike
from processor_time import at_most
from viewer_presses import CAMERA, connect, send, serve, wait_for

from disconerf_ns.compat.viser_panel import HtmlButton
from disconerf_ns.scene.edit_entries import MOST_PLACES
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.tree import NEVER, ObjectTree
from disconerf_ns.viewer.family import Family
from disconerf_ns.viewer.row_look import look
from disconerf_ns.viewer.rows import Clicks, Rows, Standing

NOBODY: frozenset[int] = frozenset()
NOTHING = Clicks(*[lambda *_: None] * len(Clicks._fields))


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
        **alike(((0.0,) * 3, (1.0,) * 3)),
        slots=frozenset([slot]),
        whole=True,
    )


@pytest.fixture(scope="module")
def gui() -> Iterator[viser.GuiApi]:
    """The panel of somebody who looks: what all share, viser 1 searches at each removal."""
    with serve() as server, connect(server) as page:
        page.send(msgspec.msgpack.encode(CAMERA))
        wait_for(server.get_clients)
        (client,) = server.get_clients().values()
        yield client.gui


@pytest.fixture
def rows(gui: viser.GuiApi) -> Rows:
    return Rows(gui, gui.add_folder("Objects"), NOTHING)


def shown(rows: Rows) -> list[int]:
    """Slots from top to bottom."""
    return sorted(rows._rows, key=lambda slot: rows._rows[slot].button.handle.order)


def handles(rows: Rows) -> dict[int, viser.GuiButtonHandle]:
    return {slot: row.button.handle for slot, row in rows._rows.items()}


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


def test_only_rows_that_look_different_are_touched(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = [thing(slot, 1 / (slot + 2)) for slot in range(200)]
    rows.update(objects, NOBODY, (), "")
    before, touched = handles(rows), []
    monkeypatch.setattr(HtmlButton, "_send", lambda button, **what: touched.append((button, *what)))
    objects[7] = replace(objects[7], title="named")
    with at_most(seconds=0.2):
        rows.update(objects[:-1], frozenset({50}), (60,), "")
    after = handles(rows)
    assert before.keys() - after.keys() == {199} and all(after[slot] is before[slot] for slot in after)
    of = {id(button): slot for slot, row in rows._rows.items() for button in row.buttons}
    assert {of[id(button)] for button, *_ in touched} == {7, 50, 60}
    assert shown(rows) == list(range(199))


def test_200_rows_with_pictures_are_quick(rows: Rows) -> None:
    objects = [thing(slot, 1 / (slot + 2)) for slot in range(200)]
    picture = "data:image/webp;base64," + 2000 * "A"
    with at_most(seconds=1):
        rows.update(objects, NOBODY, (), "", picture=lambda _: picture)
    assert all(picture in row.button.html for row in rows._rows.values())


def test_a_row_tells_name_share_confidence_and_state() -> None:
    one = thing(3, 0.1234, 0.987, "teapot")
    assert look(one).name == "teapot" and all(part in look(one).row for part in ("teapot", "12.3%", "0.99"))
    assert len({look(one, None, *state).row for state in itertools.product((False, True), repeat=2)}) == 4
    assert look(one, None, False).ends != look(one, None, True).ends


def test_a_name_is_no_html() -> None:
    """A name reaches the page of everybody who looks."""
    row = look(thing(0, 0.1, title='<img src="x" onerror="alert(1)">"')).row
    assert "<img" not in row and row.count('"') % 2 == 0 and "&lt;img" in row


def test_a_click_selects_and_the_eye_hides(gui: viser.GuiApi) -> None:
    chosen: list[tuple] = []
    rows = Rows(gui, gui.add_folder("Objects"), Clicks(*(
        lambda *about, what=what: chosen.append((what, *about)) for what in Clicks._fields
    )))  # fmt: skip
    rows.update([thing(0, 0.2), thing(1, 0.5)], NOBODY, (), "", standing=Standing({1: [True] * 3}))
    for row in (rows._rows[1], rows._copies[1, 0], rows._copies[1, 2]):
        for button in row.buttons:
            send(button.handle, True)
    of_copies = [(what, 1, number) for number in (0, 2) for what in ("select", "toggle_one", "take_away")]
    assert chosen == [("select", 1, 0), ("toggle", 1), *of_copies]


def test_copies_have_rows_under_their_object_s(rows: Rows) -> None:
    """They could be chosen in a field that appeared beside the handles, and nowhere else."""
    objects, parts = [BY_ID[SET], replace(thing(5, 0.1), title="cup")], Family(EVERY, TREE)
    rows.update(objects, NOBODY, (), "", parts, standing=Standing({5: [True] * 2, SET: [True] * MOST_PLACES}))
    orders = [(SET, number) for number in range(-1, MOST_PLACES)] + [(5, -1), (5, 0), (5, 1)]
    buttons = {(id, -1): row for id, row in rows._rows.items()} | rows._copies
    placed = sorted((button.handle.order, *key) for key, row in buttons.items() for button in row.buttons)
    assert [key for key, _ in groupby(tuple(key) for _, *key in placed)] == orders
    last = max(row.handle.order for row in rows._copies[SET, MOST_PLACES - 1].ends)
    assert last < rows._folders[SET].folder.order < rows._rows[5].button.handle.order
    assert "cup itself, without its copies" in rows._copies[5, 0].button.html
    assert "Copy 1 of cup" in rows._copies[5, 1].button.html
    assert [end.label for end in rows._copies[5, 1].ends] == ["hide copy 1", "take away copy 1"]
    rows.update(objects, frozenset({5}), (5,), "", parts, standing=Standing({5: [True] * 3}, 1))
    assert rows._copies.keys() == {(5, 0), (5, 1), (5, 2)}
    marked = ["dn-on" in row.button.html for row in (rows._rows[5], *rows._copies.values())]
    assert marked == [True, False, True, False] and all("dn-off" in row.button.html for row in rows._copies.values())
    rows.update(objects, NOBODY, (), "", parts, standing=Standing({5: [False, True, True]}))
    hidden = ["dn-off" in row.button.html for row in (rows._rows[5], *rows._copies.values())]
    assert hidden == [False, True, False, False]
    assert rows._copies[5, 0].ends[0].label == "show itself"
    rows.sort(objects, "name")
    rows.update(objects, NOBODY, (), "", parts, standing=Standing({5: [True] * 2}))
    assert shown(rows) == [5, SET] and rows._copies.keys() == {(5, 0), (5, 1)}


def test_the_eye_follows_its_row(rows: Rows) -> None:
    rows.update([thing(slot, 1 / (slot + 1)) for slot in range(300)], NOBODY, (), "")
    orders = [button.handle.order for slot in shown(rows) for button in rows._rows[slot].buttons]
    assert orders == sorted(orders) and len(set(orders)) == 600


# ---------------------------------------------------------------- parts

CUP, SET = 3, 4
TREE = ObjectTree(3, (CUP, CUP, SET, SET, -1), (*[NEVER] * 3, 0.7, 0.3))
"""A cup of the objects 0 and 1, a set of the cup and object 2."""
EVERY = [
    replace(thing(CUP, 0.3), number=0, slots=frozenset([0, 1])),
    replace(thing(2, 0.2), number=1),
    replace(thing(SET, 0.5), number=2, slots=frozenset([0, 1, 2])),
    replace(thing(0, 0.2), number=3),
    replace(thing(1, 0.1), number=4),
]
BY_ID = {each.id: each for each in EVERY}


def kinds(folder: viser.GuiFolderHandle) -> list[str]:
    """What is in a folder of parts, from top to bottom."""
    inside = sorted(folder._children.values(), key=lambda handle: handle.order)
    return ["folder" if isinstance(handle, viser.GuiFolderHandle) else "row" for handle in inside]


def test_parts_are_in_closed_folders_below_their_object(rows: Rows) -> None:
    family = Family(EVERY, TREE)
    cup, other = family.parts(BY_ID[SET])
    assert [part[0].id for part in (cup, other, *cup[1])] == [CUP, 2, 0, 1] and other[1] == ()
    rows.update([BY_ID[SET]], NOBODY, (), "", family)
    assert shown(rows) == [SET] and rows._folders.keys() == {SET}
    folder = rows._folders[SET].folder
    assert kinds(folder) == ["row", "folder", "row"]
    (nested,) = (each for each in folder._children.values() if isinstance(each, viser.GuiFolderHandle))
    assert kinds(nested) == ["row", "row"]
    assert handles(rows)[SET].order < folder.order < handles(rows)[SET].order + 1e-3
    rows.update([BY_ID[SET]], frozenset({SET}), (SET,), "", family, lambda each: f"data:{each.id}")
    assert [f"data:{id}" in row.html for id, row in rows._folders[SET].rows] == [True] * 4
    assert rows._folders[SET].folder is folder, "a folder that a person opened stays open"


def test_parts_come_where_their_whole_was_and_back(rows: Rows) -> None:
    family, others = Family(EVERY, TREE), [replace(thing(7, 0.9), number=7), replace(thing(8, 0.1), number=8)]
    tree = ObjectTree(9, (9, 9, 10, *[-1] * 6, 10, -1), (*[NEVER] * 9, 0.7, 0.3))
    every = [replace(each, id={CUP: 9, SET: 10}.get(each.id, each.id)) for each in EVERY] + others
    by_id, family = {each.id: each for each in every}, Family(every, tree)
    for nodes, expected in (
        ([7, 10, 8], [7, 10, 8]),
        ([7, 9, 2, 8], [7, 9, 2, 8]),
        ([7, 0, 1, 2, 8], [7, 0, 1, 2, 8]),
        ([7, 10, 8], [7, 10, 8]),
    ):
        rows.update([by_id[node] for node in nodes], NOBODY, (), "", family)
        assert shown(rows) == expected
        assert rows._folders.keys() == {9, 10} & {*nodes}


def test_merged_and_divided_objects_have_no_parts_in_the_list(rows: Rows) -> None:
    merged, divided = replace(BY_ID[CUP], slots=frozenset([0, 1, 2])), replace(BY_ID[CUP], whole=False)
    for each in (merged, divided):
        rows.update([each], NOBODY, (), "", Family(EVERY, TREE))
        assert rows._folders == {}


def test_an_object_is_found_by_the_name_of_a_part(rows: Rows) -> None:
    named = [replace(each, title="handle") if each.id == 1 else each for each in EVERY]
    for query, expected in (("handle", [SET]), ("object_03", [SET]), ("spout", [])):
        rows.update([BY_ID[SET]], NOBODY, (), query, Family(named, TREE))
        assert shown(rows) == expected


def test_a_click_on_a_part_enters_it(gui: viser.GuiApi) -> None:
    entered: list[int] = []
    rows = Rows(gui, gui.add_folder("Objects"), NOTHING._replace(enter=entered.append))
    rows.update([BY_ID[CUP]], NOBODY, (), "", Family(EVERY, TREE))
    second = max(rows._folders[CUP].folder._children.values(), key=lambda handle: handle.order)
    for callback in second._impl.update_cb:
        callback(viser.GuiEvent(None, 0, second))
    assert entered == [1]


def test_the_rest_is_last_and_grey(rows: Rows) -> None:
    rest = replace(thing(5, 0.9), number=None, color=(0.5, 0.5, 0.5))
    rows.update([rest, thing(1, 0.1)], NOBODY, (), "")
    rows.update([rest, thing(1, 0.1), thing(2, 0.2)], NOBODY, (), "")
    assert shown(rows) == [1, 2, 5] and look(rest).color == "#808080"
    rows.sort([rest, thing(1, 0.1), thing(2, 0.2)], "size")
    rows.update([rest, thing(1, 0.1), thing(2, 0.2)], NOBODY, (), "")
    assert shown(rows) == [2, 1, 5]


def test_many_objects_with_parts_are_quick(rows: Rows) -> None:
    """200 objects of two parts each, in sets of ten."""
    slots, objects = 400, range(400, 600)
    parent = (*(400 + slot // 2 for slot in range(slots)), *(600 + number // 10 for number in range(200)), *[-1] * 20)
    tree = ObjectTree(slots, parent, (*[NEVER] * slots, *[0.7] * 200, *[0.3] * 20))
    every = [replace(thing(node, 1 / (node + 1)), slots=tree.leaves(node), color=(0.5,) * 3) for node in range(620)]
    family = Family(every, tree)
    with at_most(seconds=1):
        rows.update([every[node] for node in objects], NOBODY, (), "", family)
        rows.update([every[node] for node in range(600, 620)], NOBODY, (), "", family)
    assert len(rows.ids) == 20
    with at_most(seconds=0.2):
        rows.update([every[node] for node in range(600, 620)], frozenset({601}), (605,), "", family)
