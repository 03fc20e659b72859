"""How the rows of an object and of its copies look: picture, name and figures, and an eye or a cross, as HTML."""

from __future__ import annotations

import html
from typing import NamedTuple

from disconerf_ns.compat.viser_panel import at_once
from disconerf_ns.scene.objects import SceneObject

LIDS = '<path d="M2 12C6 4.5 18 4.5 22 12C18 19.5 6 19.5 2 12Z"/>'
ICON = '<svg viewBox="0 0 24 24" width="1em" fill="none" stroke="currentColor" stroke-width="2">{}</svg>'
OPEN = ICON.format(f'{LIDS}<circle cx="12" cy="12" r="3" fill="currentColor"/>')
SHUT = ICON.format(f'{LIDS}<path d="M4 21L20 3"/>')
CROSS = ICON.format('<path d="M6 6L18 18M18 6L6 18"/>')
REVEAL = at_once("""
const row = this.closest('button').parentElement.getBoundingClientRect();
const list = this.closest('button').parentElement.parentElement, seen = list.getBoundingClientRect();
if (row.top < seen.top || row.bottom > seen.bottom) list.scrollTop += row.top - (seen.top + seen.bottom) / 2;""")
"""Scrolls the list to a row when the page receives it."""


class End(NamedTuple):
    """A button at the end of a row."""

    label: str
    """A sentence that tells screen readers what the button does."""
    hint: str
    icon: str
    more: str = ""
    """Further HTML."""
    inner: bool = False
    """Whether there is another one on its right."""

    @property
    def html(self) -> str:
        """The button as HTML."""
        place = " dn-inner" * self.inner
        return f'<div class="dn-eye{place}" title="{self.hint}">{self.icon}</div>{self.more}'


class RowLook(NamedTuple):
    """Looks of a row."""

    name: str
    facts: str
    """Share of the visible surface, and confidence."""
    said: str
    """The tooltip, without what a click does."""
    color: str
    picture: str | None
    """Data URI of a small picture; None while there is none."""
    hidden: bool
    selected: bool
    revealed: bool = False
    """Whether the list is scrolled to it."""
    copied: bool = False
    """Whether it is the row of one of the places of an object that has copies, which are under the object's."""

    @property
    def row(self) -> str:
        """The row's HTML, before the name."""
        state = " dn-copy" * self.copied + " dn-on" * self.selected + " dn-off" * self.hidden
        image = f'<img alt="" src="{self.picture}">' if self.picture else ""
        said = html.escape(f"{self.said}. Click to select it.", quote=True)
        return (
            f'<div class="dn-row{state}" style="--dn-color:{self.color}" title="{said}">{image}</div>'
            f'<i class="dn-facts">{self.facts}</i>'
        )

    @property
    def ends(self) -> tuple[End, ...]:
        """The eye, and the cross of a copy."""
        with_all = "" if self.copied else ", with its copies"
        verb, hint, icon = ("show", "Show it again", SHUT) if self.hidden else ("hide", f"Hide it{with_all}", OPEN)
        eye = End(f"{verb} {self.name}", hint, icon, REVEAL * self.revealed, inner=self.copied)
        if not self.copied:
            return (eye,)
        return eye, End(f"take away {self.name}", "Take it away; the others stay", CROSS)


def look(
    each: SceneObject,
    picture: str | None = None,
    hidden: bool = False,
    selected: bool = False,
    revealed: bool = False,
) -> RowLook:
    """The row of an object: name, share of the visible surface and confidence, its colour, and a picture."""
    facts, said = "", each.label
    if each.share > 0:
        facts = f"{each.share:.1%}  {each.confidence:.2f}"
        said = f"{each.label}: {each.share:.1%} of the surface that is seen, confidence {each.confidence:.2f} of 1"
    return RowLook(each.label, facts, said, color_of(each), picture, hidden, selected, revealed)


def look_of_copy(each: SceneObject, number: int, picture: str | None, hidden: bool, selected: bool) -> RowLook:
    """The row of an object's copy, or of the object itself where it has copies.

    Args:
        number: of the copy; 0 for the object itself.
    """
    name = f"copy {number}" if number else "itself"
    said = f"Copy {number} of {each.label}" if number else f"{each.label} itself, without its copies"
    return RowLook(name, "", said, color_of(each), picture, hidden, selected, copied=True)


def color_of(each: SceneObject) -> str:
    """An object's colour, as CSS writes it."""
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in each.color)
