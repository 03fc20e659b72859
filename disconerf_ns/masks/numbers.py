"""Which numbers of label images are objects: what a person named, or what the numbers of a whole set tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Integer

Void = frozenset[int] | None
"""Numbers that are no objects; None judges by content."""
Named = int | Collection[int] | Literal["auto"] | None
"""The same as a person gives it: "auto" judges by content, and None says that every number is an object."""

TRANSPARENT = int(np.iinfo(np.int64).min)
"""Number of a transparent pixel, which is never an object."""
BORDERS = (255, 65535)
"""Numbers that mark the border between objects, or pixels that nobody labelled, where they stand apart from others."""
CREAM = 224 + 256 * 224 + 65536 * 192
"""The colour of borders in PASCAL VOC's palette."""
MOST_VALUES = 10_000
"""Largest number of different pixel values that still count as masks; more look like a photograph."""

Census = Mapping[int, int]
"""Pixels of all images of a set, by their number."""


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a set of label images mean; every number that is not here is an object."""

    nothing: frozenset[int]
    """Pixels that belong to no object."""
    border: frozenset[int] = frozenset()
    """Pixels of which nobody says whose they are: they count as not looked at."""

    @property
    def void(self) -> frozenset[int]:
        """All numbers that are no objects."""
        return self.nothing | self.border | {TRANSPARENT}


PLAIN = Meaning(frozenset({0}))
"""0 is nothing, and every other number is an object."""


def void_of(named: Named) -> Void:
    """Void numbers as a set.

    >>> void_of("auto"), void_of(None), void_of(255), void_of((0, 255))
    (None, frozenset(), frozenset({255}), frozenset({0, 255}))
    """
    if isinstance(named, str):
        return None
    if named is None:
        return frozenset()
    return frozenset({named} if isinstance(named, (int, np.integer)) else named)


def census(label_maps: Iterable[Integer[np.ndarray, "_ _"]]) -> Census:
    """Count the pixels of each number, without images that look like photographs."""
    pixels: Counter[int] = Counter()
    for labels in label_maps:
        values, counts = np.unique(labels, return_counts=True)
        if len(values) <= MOST_VALUES:
            pixels.update(dict(zip(values.tolist(), counts.tolist())))
    return pixels


def judge(pixels: Census) -> Meaning:
    """What the numbers of a set tell: negative numbers are nothing, or else 0 is; 255 that stands apart is a border.

    >>> judge({0: 9, 1: 9, 2: 9, 255: 2}).border, judge({-1: 9, 0: 9}).nothing
    (frozenset({255}), frozenset({-1}))
    """
    negative = frozenset(number for number in pixels if TRANSPARENT < number < 0)
    nothing = negative or PLAIN.nothing
    return Meaning(nothing, _apart(pixels, nothing))


def judge_colors(pixels: Census) -> Meaning:
    """The same for colours R + 256 G + 65536 B: black is nothing, and PASCAL VOC's cream is its border."""
    return Meaning(PLAIN.nothing, frozenset({CREAM} if {0, CREAM} < pixels.keys() else ()))


def _apart(pixels: Census, nothing: frozenset[int]) -> frozenset[int]:
    """The largest number if it is one of BORDERS and more than twice as far from the next as others are apart."""
    *others, last = sorted({0, *(number for number in pixels if number >= 0)})
    if last not in BORDERS or not any(number in pixels and number not in nothing for number in others):
        return frozenset()
    widest = max((after - before for before, after in pairwise(others)), default=1)
    return frozenset({last}) if last - others[-1] > 2 * widest else frozenset()


def meaning_of(void: Void, judged: Meaning) -> Meaning:
    """What the numbers mean if a person named some: these are nothing; a border among several is a border."""
    if void is None:
        return judged
    border = void & {*BORDERS, CREAM} if len(void) > 1 else frozenset()
    return Meaning(void - border, border)


def explain(
    void: Void, judged: Meaning, pixels: Census, spell: Callable[[int], str] = str, counted: str = ""
) -> list[str]:
    """Sentences that say how the numbers of a set are read, and what to pass if they mean something else.

    Args:
        void: numbers that a person named, or None.
        judged: what the numbers tell.
        spell: text of a number.
        counted: what becomes of pixels that belong to no object, such as "which no score counts".
    """
    seen = {number: count for number, count in pixels.items() if number != TRANSPARENT}
    if not seen:
        return []
    if void is not None:
        return _surprises(void, judged, seen, spell)
    nothing, border = sorted(judged.nothing & seen.keys()), sorted(judged.border)
    said = []
    if nothing and nothing[0] < 0:
        also = f", so 0 is an object; if 0 means none too, pass {_option(*nothing, 0, *border)}" if 0 in seen else ""
        share = _share(nothing, pixels, counted)
        said.append(f"negative numbers ({_listed(nothing, spell)}) mean no object ({share}){also}.")
    elif nothing:
        share = _share(nothing, pixels, counted)
        said.append(f"the number {spell(0)} means no object ({share}); if it is an object, pass {_option(*border)}.")
    elif TRANSPARENT in pixels:
        share = _share([TRANSPARENT], pixels, counted)
        said.append(f"transparent pixels belong to no object ({share}), and every number is an object.")
    else:
        most = max(seen.keys() - judged.border, key=lambda number: seen[number], default=0)
        said.append(
            f"the number {spell(0)} is in none of the files, so every {'other ' * bool(border)}number is an object; if "
            f"{spell(most)}, the most frequent ({_share([most], pixels)}), means no object, pass "
            f"{_option(most, *border)}."
        )
    if border:
        is_cream = border[0] == CREAM
        reason = "is PASCAL VOC's colour of borders" if is_cream else "stands apart from the others"
        share = _share(border, pixels, counted or "which are not looked at")
        said.append(
            f"the number {spell(border[0])} {reason}, so it marks borders, or pixels that nobody labelled ({share}); "
            f"if it is an object, pass {_option(*nothing)}."
        )
    elif (last := max(seen)) in BORDERS and len(seen.keys() - judged.nothing) > 1:
        said.append(
            f"the number {spell(last)} is an object, since it does not stand apart from the others; if it means "
            f"borders, pass {_option(*nothing, last)}."
        )
    return said


def _surprises(void: frozenset[int], judged: Meaning, seen: Census, spell: Callable[[int], str]) -> list[str]:
    """Doubts about named numbers: one other than 0 does not occur, or one not named looks like nothing or a border."""
    absent, left = sorted(void - PLAIN.nothing - seen.keys()), sorted((judged.void & seen.keys()) - void)
    said = [f"--void names {_listed(absent, spell)}, which occurs in none of the files."] if absent else []
    odd = [number for number in left if number < 0 or number in judged.border]
    if odd:
        said.append(f"{_listed(odd, spell)} is an object, since --void does not name it; {_option(*void, *odd)} would.")
    return said


def _option(*numbers: int) -> str:
    """The option that names these numbers, or none."""
    return " ".join(["--void", *(map(str, sorted(numbers)) if numbers else ["None"])])


def _listed(numbers: list[int], spell: Callable[[int], str]) -> str:
    return ", ".join(map(spell, numbers[:4])) + (", ..." if len(numbers) > 4 else "")


def _share(numbers: list[int], pixels: Census, counted: str = "") -> str:
    share = sum(pixels[number] for number in numbers) / sum(pixels.values())
    return f"{100 * share:.2g}% of the pixels" + (f", {counted}" if counted else "")
