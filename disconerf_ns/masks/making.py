"""The masks of one image: made by a proposer, and stored."""

from __future__ import annotations

import errno
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from disconerf_ns.errors import UserError
from disconerf_ns.masks.freshness import made_of
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.images import read_image
from disconerf_ns.masks.store import MaskStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """An image to make masks of."""

    key: str
    image: Path

    def masks(self, proposer: Any, image: UInt8[np.ndarray, "height width 3"]) -> ImageMasks:
        """Masks of the image: all that the proposer finds."""
        return proposer(image)

    def facts(self) -> dict[str, Any]:
        """Facts about the making, which are stored with the masks; those about the image's file are stored anyway."""
        return {}


@dataclass(frozen=True)
class Done:
    """The outcome of a job."""

    job: Job
    error: str | None
    """None if the masks are stored, otherwise one sentence that says why they are not."""


class CannotStore(UserError):
    """The masks of no image can be kept any more, so the run ends."""


class Displaced(CannotStore):
    """Another run has replaced the set of masks that this run writes to."""


class Full(CannotStore):
    """The folder of the masks cannot be written any more."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
"""Errors of a disk that is full, has used up a quota, is broken, or was made read-only: the next image has them too."""


class Maker:
    """Makes and stores the masks of images, one image per call.

    Args:
        config: config of a proposer, see `masks.proposers`.
        root: folder of the masks.
    Raises:
        UserError: the proposer cannot run.
    """

    def __init__(self, config: Any, root: Path):
        self.propose, self.store, self.identity = config.setup(), MaskStore(root), ""

    def __call__(self, job: Job) -> str | None:
        """Make and store the masks of one image.

        Returns:
            None, or one sentence that says why the image has no masks.
        Raises:
            Displaced: another run has replaced the set of masks.
            Full: the masks cannot be written, and those of other images could not either.
        """
        self.identity = self.identity or self.store.identity()
        try:
            facts = made_of(job.image, self.store) | job.facts()
            masks = job.masks(self.propose, read_image(job.image))
            if self.store.identity() != self.identity:
                raise Displaced(f"masks: another run has replaced the masks in {self.store.root}; this run stops.")
            self._save(job.key, masks, facts)
        except CannotStore:
            raise
        except (UserError, OSError) as error:
            _log.debug("no masks of %s", job.image, exc_info=True)
            return str(error)
        except Exception as error:  # a model may raise anything at one image, and the others must still get their masks
            _log.exception("no masks of %s", job.image)
            return f"{job.image}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return None

    def _save(self, key: str, masks: ImageMasks, facts: dict[str, Any]) -> None:
        try:
            self.store.save(key, masks, facts)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise Full(
                f"masks: {self.store.root} cannot be written any more ({error.strerror}), so this run stops; the masks "
                f"of {len(self.store.keys())} images are kept there. Make room and run the same command, without "
                "--overwrite, to go on."
            ) from error
