"""Values that a person's page may send and that cannot be: each is dropped or answered by one sentence, and no edit."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from sentences import RENEW, VIEWER, Sentences
from viewer_presses import Visit, chooses, uses, visit, wait_for

from disconerf_ns.viewer.seat import Seat

HUGE = 2**63
"""Of the whole numbers that a message can carry, a large one; 10^400 it cannot carry but as infinity."""
NUMBERS = (math.nan, math.inf, -math.inf, 1e308, HUGE, True, None, "1", [], {})
NO_TEXT = (None, 3, True, math.nan, ["a"], {"a": 1})
LONG = "n" * 5000
ODD_TEXTS = ("a\nb", "a\x07b", "\x1b[2J", "a\x00b", "\u202egnp", "n" * 61, LONG)


def vectors(*numbers: Any) -> list[Any]:
    return [*([number, 0, 0] for number in numbers), [0, 0], [0, 0, 0, 0], "abc", 7, None, {}]


FIELDS: dict[str, tuple[Callable[[Seat], Any], tuple[Any, ...]]] = {
    "name": (lambda seat: seat.panel.name, (*NO_TEXT, *ODD_TEXTS)),
    "search": (lambda seat: seat.panel.search, (*NO_TEXT, LONG)),
    "colour": (lambda seat: seat.panel.color, (*vectors(math.nan, math.inf, -1, 256, HUGE, True, "x"), "red")),
    "hue": (lambda seat: seat.panel.hue, (*NUMBERS, -181, 181)),
    "size": (lambda seat: seat.panel.places.size, (*NUMBERS, 0, -1, 5)),
    "middle": (lambda seat: seat.panel.places.middle, vectors(math.nan, math.inf, 1e7, HUGE, True, "x")),
    "turns": (lambda seat: seat.panel.places.turns, vectors(math.nan, -math.inf, 1e7, HUGE, True, "x")),
    "detail": (lambda seat: seat.panel.detail, (*NUMBERS, -0.1, 1.1)),
    "confidence": (lambda seat: seat.panel.threshold, (*NUMBERS, -0.1, 1.1)),
    "show": (lambda seat: seat.panel.shown, (*NO_TEXT, "sideways", LONG)),
    "sort": (lambda seat: seat.panel.order, (*NO_TEXT, "sideways")),
    "boxes": (lambda seat: seat.panel.in_3d, (*NO_TEXT, "sideways")),
    "extraction": (lambda seat: seat.panel.extraction, (*NO_TEXT, "medium")),
    "add to it": (lambda seat: seat.panel.several, (1, "yes", None, math.nan, [])),
    "film size": (lambda seat: seat.panel.film.size, (*NO_TEXT, "0", "-1", "100000", "nan", 256)),
    "film seconds": (lambda seat: seat.panel.film.seconds, (*NO_TEXT, "0", "1e9", 2)),
    "film format": (lambda seat: seat.panel.film.format, (*NO_TEXT, "exe", "../mp4")),
    "film background": (lambda seat: seat.panel.film.background, (*NO_TEXT, "a\x07b", LONG)),
}  # fmt: skip
"""Elements, and values that they cannot have."""
NONE = [0.0, 0.0, 0.0]
HANDLES = [
    {"wxyz": [0, 0, 0, 0]}, {"wxyz": [math.nan, 0, 0, 1]}, {"wxyz": [1, 0, 0]}, {"wxyz": "abcd"}, {"wxyz": None},
    {"position": [math.nan, 0, 0]}, {"position": [1e308, 0, 0]}, {"position": [HUGE, 0, 0]}, {"position": [0, 0]},
    {"position": ["x", 0, 0]}, {"position": None},
]  # fmt: skip
DROPPED = "(dropped)"


@pytest.fixture(scope="module")
def sentences():
    of_the_viewer = Sentences(viewer=True)
    yield of_the_viewer
    of_the_viewer.renew()


class Asked:
    """What comes of messages, one after the other."""

    def __init__(self, viewer, visitor: Visit, said: list[str]):
        self.visitor, self.said = visitor, said
        self.editor, self.rounds = viewer.pipeline.object_control.editor, 0

    def state(self) -> Any:
        """All that a person can change of the scene and how it is shown."""
        scene, seat = self.editor.scene, self.visitor.seat
        return scene.edit, scene.options, seat.stage.drawn, seat.panel.boxes.which, seat.panel.several.value

    def answer(self, message: dict[str, Any], taken: Callable[[], bool]) -> str:
        """The sentence that a message is answered with, or that it is dropped; nothing changes in any case.

        Args:
            taken: whether the server took the message's value over.
        """
        before, page = self.state(), self.visitor.page
        self.said.clear()
        page.send(msgspec.msgpack.encode(message))
        self.rounds += 1
        self.visitor.sends(self.visitor.seat.panel.search, str(self.rounds))
        wait_for(lambda: self.visitor.seat.panel.search.value == str(self.rounds))
        if taken() or self.said:
            wait_for(lambda: self.said)
        self.editor.drain()
        assert self.state() == before
        return self.said[0] if self.said else DROPPED


def shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) < 70 else f"{text[:60]}... of {len(text)} characters"


def message_of(handle: Any, value: Any) -> dict[str, Any]:
    key = "uuid" if hasattr(handle._impl, "uuid") else "id"
    return {"type": "GuiUpdateMessage", key: getattr(handle._impl, key), "updates": {"value": value}}


def differs(handle: Any, before: Any) -> bool:
    return handle.value != before


def test_values_that_cannot_be(viewer, sentences: Sentences, monkeypatch: pytest.MonkeyPatch) -> None:
    """One object is selected, and its handles are shown."""
    with visit(viewer) as visitor:
        seat, said = visitor.seat, []
        monkeypatch.setattr(seat, "tell", said.append)
        chooses(seat, seat.editor.scene.objects[1].id)
        uses(seat, "move")
        asked = Asked(viewer, visitor, said)
        for name, (find, values) in FIELDS.items():
            handle = find(seat)
            for value in values:
                taken = partial(differs, handle, handle.value)
                answer = asked.answer(message_of(handle, value), taken if name != "search" else lambda: False)
                sentences.check(f"{VIEWER}{name}: {shown(value)}", answer)
        gizmo = seat.panel.gizmo._handle
        for change in HANDLES:
            message = {"type": "TransformControlsUpdateMessage", "name": "/objects/gizmo"}
            message |= {"wxyz": [1.0, 0.0, 0.0, 0.0], "position": NONE, **change}
            before = (*gizmo.wxyz, *gizmo.position)
            answer = asked.answer(message, lambda b=before: (*gizmo.wxyz, *gizmo.position) != b)
            sentences.check(f"{VIEWER}handles: {shown(change)}", answer)
        other = seat.editor.scene.objects[2].label
        sentences.check(
            f"{VIEWER}name: that of another object", asked.answer(message_of(seat.panel.name, other), lambda: True)
        )
        visitor.sends(seat.panel.film.background, "transparent")
        wait_for(lambda: seat.panel.film.background.value == "transparent")
        said.clear()
        seat.ask(seat.film)
        seat.editor.drain()
        sentences.check(f"{VIEWER}film: transparent, as mp4", said[0])
    assert RENEW or len(sentences.said) == len(sentences.kept), "no sentence is kept of a case that is gone"
