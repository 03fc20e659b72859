"""Old and new versions below us: an environment for each row of a table in docs/reliability.md, and what works in it.

    python -m benchmarks.stacks --folder build/stacks --stacks newest

An environment takes some minutes and 5 to 8 GB of disk, and is removed when its row is there. Versions that cannot be
installed together are said in the table.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import tyro

from benchmarks.performance import head, line
from benchmarks.table import write_tables
from disconerf_ns.files import write_whole

ROOT = Path(__file__).parents[1]
TESTED = {
    "start": ("tests/test_startup.py", "tests/test_stored_config.py"),
    "checkpoints": ("tests/test_going_on.py", "tests/test_old_run.py"),
    "training": ("tests/test_moved_run.py", "tests/test_by_products.py"),
    "masks": ("tests/masks/test_store.py", "tests/masks/test_arrays.py", "tests/masks/test_label_images.py"),
    "viewer": ("tests/viewer/test_strangers.py", "tests/viewer/test_control.py", "tests/viewer/test_pictures.py"),
}
"""Tests of what versions differ in, by the column of the table."""
NAMED = "python", "torch", "torchvision", "numpy", "viser", "nerfstudio"
"""What a row names the version of."""
FREE_GB = 25
"""Disk that stays free, in GB."""
LARGEST_GB = 10
"""Disk that an environment takes, at most."""


class Stack(NamedTuple):
    """Versions of one environment."""

    python: str
    wanted: tuple[str, ...] = ()
    """What pip is asked for beside this package."""
    against_pins: tuple[str, ...] = ()
    """What then takes the place of a release that nerfstudio pins."""


STACKS = {
    "oldest": Stack("3.10", ("torch==2.6.0", "torchvision==0.21.0", "numpy==1.26.4")),
    "pinned": Stack("3.11", ("-c", "constraints.txt")),
    "newest": Stack("3.12", ("torch", "torchvision", "numpy>=2"), ("viser",)),
}
"""Stacks by name. nerfstudio 1.1.5 runs on older torch too, but we need 2.6, which loads checkpoints without pickles'
code; it pins viser 0.2.7, and its main branch takes viser 1."""


@dataclass
class Options:
    """Try stacks of versions, and write the table of docs/reliability.md."""

    folder: Path = Path("build/stacks")
    """Folder of the environments."""
    stacks: tuple[str, ...] = field(default_factory=lambda: tuple(STACKS))
    """Names of the stacks; none writes the table alone."""
    output: Path = Path("benchmarks/results/stacks.json")
    """File of the outcomes; those of other stacks are kept."""
    page: Path = Path("docs/reliability.md")
    """Page whose table is replaced."""


class NotBuilt(Exception):
    """An environment that there cannot be; the message says why."""


def build(stack: Stack, folder: Path) -> None:
    """Make an environment.

    Raises:
        NotBuilt: there is no such Python, too little disk, or pip refuses.
    """
    python = shutil.which(f"python{stack.python}")
    if python is None:
        raise NotBuilt(f"no python{stack.python} on PATH")
    folder.mkdir(parents=True)
    free = shutil.disk_usage(folder).free / 1e9
    if free < FREE_GB + LARGEST_GB:
        raise NotBuilt(f"{free:.0f} GB of disk are free, and {FREE_GB + LARGEST_GB} are needed")
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet"]
    commands = [
        [python, "-m", "venv", str(folder)],
        [*pip, *stack.wanted, "-e", ".", "pytest", "hypothesis", "beartype"],
        *([*pip, "--upgrade", each] for each in stack.against_pins),
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        (folder / "build.log").write_text(done.stdout + done.stderr)
        if done.returncode:
            raise NotBuilt(reason(done.stderr))


def reason(said: str) -> str:
    """The last line of what a program said that is an error."""
    lines = [each.strip() for each in said.splitlines() if each.strip()] or ["it said nothing"]
    return next((each for each in reversed(lines) if re.match(r"\w*(Error|ERROR)\b", each)), lines[-1])[:200]


def versions(python: Path) -> dict[str, str]:
    """Versions that an environment has."""
    code = (
        "import importlib.metadata as m, json, platform; "
        f"print(json.dumps({{'python': platform.python_version(), **{{n: m.version(n) for n in {NAMED[1:]}}}}}))"
    )
    return json.loads(subprocess.check_output([str(python), "-c", code], text=True))


def commands_list_us(folder: Path) -> str:
    """Whether nerfstudio's and our own command start and name what is ours."""
    for command, wanted in (
        (["ns-train", "--help"], ("disconerf ", "disconerf-small")),
        (["disconerf", "--help"], ("masks", "objects")),
    ):
        program = [str(folder / "bin" / command[0]), *command[1:]]
        done = subprocess.run(program, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            return f"{command[0]} fails: {reason(done.stderr)}"
        if missing := [each for each in wanted if each not in done.stdout]:
            return f"{' '.join(command)} does not name {missing[0]}"
    return "yes"


def tested(folder: Path, name: str) -> str:
    """How many tests of a part pass; the first one that does not is named."""
    command = [str(folder / "bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTED[name]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    (folder / f"{name}.log").write_text(done.stdout + done.stderr)
    return outcome(done.stdout) or f"pytest stops: {reason(done.stdout + done.stderr)}"


def outcome(said: str) -> str | None:
    """What pytest says in the end, for a table; None if it did not come to an end.

    >>> outcome("FAILED tests/test_a.py::test_b - assert 1 == 2\\n1 failed, 3 passed, 1 skipped in 2.1s")
    '3 of 4; not test_b'
    """
    last = said.rstrip().rpartition("\n")[2]
    counts = {kind: int(number) for number, kind in re.findall(r"(\d+) (passed|failed|error)", last)}
    if not counts:
        return None
    failed = dict.fromkeys(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", said, re.MULTILINE))
    numbers = f"{counts.get('passed', 0)} of {sum(counts.values())}"
    return numbers + (f"; not {', '.join(failed)}" if failed else "")


def row_of(name: str, folder: Path) -> dict[str, str]:
    """Build a stack, and try it."""
    stack = STACKS[name]
    try:
        build(stack, folder)
        row = {**versions(folder / "bin/python"), "commands": commands_list_us(folder)}
        return row | {part: tested(folder, part) for part in TESTED}
    except NotBuilt as error:
        return {"python": stack.python, "not built": str(error)}


def table(rows: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The page's rows: versions, whether commands start, and how many tests of each part pass."""
    text = head("stack", *NAMED, "commands start", *TESTED)
    for name, row in rows.items():
        cells = [row.get(each, "") for each in NAMED]
        if "not built" in row:
            text.append(line(name, *cells, f"not built: {row['not built']}", *[""] * len(TESTED)))
        else:
            text.append(line(name, *cells, row["commands"], *(row[part] for part in TESTED)))
    return text


def main(options: Options) -> None:
    if unknown := [name for name in options.stacks if name not in STACKS]:
        sys.exit(f"stacks: there is no {unknown[0]}; choose from {', '.join(STACKS)}.")
    rows = json.loads(options.output.read_text()) if options.output.exists() else {}
    for name in options.stacks:
        folder = options.folder.absolute() / name
        shutil.rmtree(folder, ignore_errors=True)
        rows[name] = row_of(name, folder)
        shutil.rmtree(folder, ignore_errors=True)
        print(name, json.dumps(rows[name]), flush=True)
        write_whole(options.output, json.dumps({each: rows[each] for each in STACKS if each in rows}, indent=2) + "\n")
    write_tables(options.page, [*table(rows), "", ""])


if __name__ == "__main__":
    main(tyro.cli(Options))
