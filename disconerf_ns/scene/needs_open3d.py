"""open3d, which comes with nerfstudio and loads only where some system libraries are installed."""

from __future__ import annotations

import sys
from functools import cache

from disconerf_ns.errors import reason

PACKAGES = "libusb-1.0-0, libgl1 and libgomp1"
"""System packages that open3d loads, as Debian and Ubuntu call them."""


def open3d_fault() -> str | None:
    """Why open3d cannot be imported; None if it can."""
    try:
        import open3d  # noqa: F401
    except (ImportError, OSError) as error:
        return reason(error)
    return None


@cache
def can_complete() -> bool:
    """Whether open3d is there to complete objects; it is said once if it is not."""
    if (fault := open3d_fault()) is None:
        return True
    print(
        "objects: they are shown as the radiance field has them, not completed where no photograph looked, since "
        f"open3d cannot be imported ({fault}); install the system packages {PACKAGES}.",
        file=sys.stderr,
    )
    return False
