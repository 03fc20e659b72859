"""What predicted label maps are compared with: true labels of each view, and 2D masks that are scored beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from disconerf_ns.evaluation.label_files import LabelFile, label_files, said_void
from disconerf_ns.evaluation.scores import Comparison, compare, compare_masks
from disconerf_ns.evaluation.views import EvaluatedRun, View, masks_of
from disconerf_ns.masks.numbers import Named
from disconerf_ns.masks.placement import Orientation
from disconerf_ns.masks.store import MaskStore


class Truth(NamedTuple):
    """True labels of views, in the order of the views."""

    files: Sequence[LabelFile]
    masks: MaskStore | None
    """2D masks that are scored as well; None if there are none that cover the views."""
    void: frozenset[int]
    """Labels that count nowhere."""

    @classmethod
    def of(
        cls,
        run: EvaluatedRun,
        views: Sequence[View],
        folder: Path,
        masks: Path | None = None,
        void: Named = "auto",
        orientation: Orientation = "auto",
    ) -> Truth:
        """Find the labels of views, and judge which of them count nowhere.

        Args:
            folder: true labels, one image per view.
            masks: folder of 2D masks; None for those of the run.
            void: labels that count nowhere; "auto" judges by all labels.
            orientation: picture that labels were drawn on.
        Raises:
            UserError: as `label_files`, `said_void` and `masks_of`.
        """
        files = label_files(folder, views, orientation)
        return cls(files, masks_of(run, views, masks), said_void(files, void))

    def compare(self, index: int, view: View, predicted: Int[np.ndarray, "h w"]) -> Comparison:
        """Compare a predicted label map of the view with this index, and the view's 2D masks, with the true labels."""
        true = self.files[index].read()
        of_masks = None if self.masks is None else compare_masks(self.masks, view, true, self.void)
        return compare(predicted, true, of_masks, self.void)
