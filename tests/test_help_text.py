"""`disconerf COMMAND --help` fills its lines, on a terminal of any width."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from disconerf_ns.cli import main


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", ["masks", "export", "render", "masks convert"])
def test_no_line_ends_before_it_is_full(
    command: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Lines ended where they end in the source: "the radiance", and on the next line "field made up there"."""
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    boxed = [line[2:-2] for line in capsys.readouterr().out.splitlines() if len(line) == columns]
    assert len(boxed) > 20
    indent = min(len(line) - len(line.lstrip()) for line in boxed if line.startswith("     "))
    helped = [line if re.match(rf" {{{indent}}}\S", line) else "" for line in boxed]
    followed = [(one, other) for one, other in pairwise(helped) if one and other]
    assert len(followed) >= 5
    for one, other in followed:
        assert len(one.rstrip()) + 1 + len(other.split()[0]) > len(one), (one, other)
