"""Names of objects from a list of words, by an image-text model that looks at each object's best photographs."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from disconerf_ns.errors import UserError, reason
from disconerf_ns.scene.names import LONGEST, name_fault, read_otherwise
from disconerf_ns.scene.objects import ObjectId


class GivenName(NamedTuple):
    """A name that a model gave an object."""

    name: str
    """The word, with a number where several objects have it."""
    word: str
    score: float
    """Mean over the views of the word's score among all words, in [0, 1]."""
    views: tuple[str, ...]
    """Photographs that the model looked at."""


def read_words(path: Path) -> tuple[str, ...]:
    """The words of a vocabulary, one a line; empty lines and lines that begin with # are left out.

    Raises:
        UserError: the file cannot be read, holds less than two different words, or one that cannot be a name.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a vocabulary ({reason(error)}); name a text file with --vocabulary.") from error
    words = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if len(words) < 2:
        raise UserError(f"{path}: it has {len(words)} words; write at least 2, one a line.")
    if fault := next(filter(None, map(name_fault, words)), None):
        raise UserError(f"{path}: {fault}; write one word or a few a line.")
    if reserved := next(filter(read_otherwise, words), None):
        raise UserError(f"{path}: {reserved} is what objects without a name are called; write another word.")
    return words


def best_word(scores: Float[np.ndarray, "views words"], words: Sequence[str], least: float) -> tuple[str, float] | None:
    """The word with the largest mean score over the views, and this score; None if it is below the least."""
    mean = scores.mean(0)
    best = int(mean.argmax())
    return (words[best], float(mean[best])) if mean[best] >= least else None


def numbered(words: Mapping[ObjectId, str], taken: Collection[str]) -> dict[ObjectId, str]:
    """Names that differ: the first cup is `cup`, then come `cup 2`, `cup 3`, and so on.

    Args:
        words: the word of each object, in the order in which they get their numbers.
        taken: names that other objects have.
    """
    used, names = set(taken), {}
    for id, word in words.items():
        ends = itertools.chain([""], (f" {number}" for number in itertools.count(2)))
        names[id] = next(name for end in ends if (name := word[: LONGEST - len(end)] + end) not in used)
        used.add(names[id])
    return names
