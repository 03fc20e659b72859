"""One training writes into a folder at a time, and one viewer; a lock that vanishes with its process says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from disconerf_ns.errors import UserError

LOCK = "training.lock"


def holds(file: IO[str]) -> bool:
    """Lock an open file until it is closed; whether that is so, or somebody else holds it.

    Where the system or its file system knows no locks, everybody does.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a run's folder while it trains; the file of the lock stays.

    Raises:
        UserError: another training holds the folder, or it cannot be written.
    """
    from disconerf_ns.files import check_folder

    check_folder(folder, "name another place with --output-dir.")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        if not holds(file):
            file.seek(0)
            process = file.read().strip() or "unknown"
            raise UserError(
                f"{folder} belongs to a training that runs (process {process}); stop that one, or let this "
                "one have a folder of its own with another --timestamp."
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
