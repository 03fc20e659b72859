"""The sentences of tests/data/sentences.txt, one a line, beside those that are said.

DISCONERF_RENEW_SENTENCES=1 writes those of a test file anew; the difference is then read as text.
"""

from __future__ import annotations

import os
from pathlib import Path

SENTENCES = Path(__file__).parent / "data" / "sentences.txt"
RENEW = bool(os.environ.get("DISCONERF_RENEW_SENTENCES"))
VIEWER = "viewer, "
"""Beginning of the cases of tests/viewer/test_bad_values.py; all others are those of tests/test_bad_inputs.py."""


class Sentences:
    """What was said, beside what is kept.

    Args:
        viewer: whether these are the viewer's cases.
    """

    def __init__(self, viewer: bool = False):
        lines = SENTENCES.read_text().splitlines() if SENTENCES.exists() else []
        every = dict(line.split(" | ", 1) for line in lines)
        self.kept = {case: said for case, said in every.items() if case.startswith(VIEWER) == viewer}
        self.others = {case: said for case, said in every.items() if case not in self.kept}
        self.said: dict[str, str] = {}

    def check(self, case: str, sentence: str, folder: Path | None = None) -> None:
        """Compare a sentence, in which a folder's path is left out, with the one that is kept."""
        if folder is not None:
            sentence = sentence.replace(f"{folder}/", "").replace(str(folder), "FOLDER")
        sentence = sentence.strip()
        assert sentence and "\n" not in sentence and "Traceback" not in sentence and len(sentence) < 1000
        self.said[case] = sentence
        assert RENEW or self.kept.get(case) == sentence

    def renew(self) -> None:
        """Write what was said in the place of what is kept, where that is asked for."""
        if RENEW:
            lines = sorted((self.others | self.said).items())
            SENTENCES.write_text("".join(f"{case} | {said}\n" for case, said in lines))
