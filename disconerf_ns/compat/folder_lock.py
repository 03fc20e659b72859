"""One training writes into a folder at a time; a lock that vanishes with its process says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from disconerf_ns.errors import UserError

LOCK = "training.lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a run's folder while it trains; the file of the lock stays.

    Where the system or its file system knows no locks, nothing is held.

    Raises:
        UserError: another training holds the folder.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            process = file.read().strip() or "unknown"
            raise UserError(
                f"{folder} belongs to a training that runs (process {process}); stop that one, or let this "
                "one have a folder of its own with another --timestamp."
            ) from None
        except OSError:
            yield
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
