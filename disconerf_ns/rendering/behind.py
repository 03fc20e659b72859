"""Space behind an object that is gone: photographs looked into some of it, and the field made up the rest."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.occupancy import intersect_box
from disconerf_ns.surface.intervals import Intervals


def behind_gone(scene: ArrangedScene, samples: Intervals) -> Bool[Tensor, "rays samples"]:
    """Samples behind the place at which their ray enters the box of something that is gone; none without completion.

    What surrounds the scene hides nothing in this sense.
    """
    entered = torch.full_like(samples.origins[:, 0], torch.inf)
    for box in scene.gone_boxes if scene.options.complete else ():
        enter, leave = intersect_box(samples.origins, samples.directions, box)
        entered = torch.where(enter < leave, entered.minimum(enter), entered)
    return samples.edges[:, 1:] > entered[:, None]


def known(
    scene: ArrangedScene, samples: Intervals, behind: Bool[Tensor, "rays samples"]
) -> Bool[Tensor, "rays samples"]:
    """Samples that some photograph looked into, and all that are not behind something that is gone.

    Below a table, say, the radiance field is arbitrary, and often goes on in the table's colours. When the table is
    gone, such samples would show a ghost of it. A sample counts if a photograph looked into its middle or its start:
    the first one inside of a seen surface may be long.

    Args:
        behind: `behind_gone` of the samples.
    """
    if not behind.any():
        return ~behind
    starts = samples.origins[:, None] + samples.directions[:, None] * samples.edges[:, :-1, None]
    unknown = behind.masked_scatter(behind, ~looked_into(scene, samples.positions[behind], behind[behind]))
    return ~unknown.masked_scatter(unknown, ~looked_into(scene, starts[unknown], unknown[unknown]))


def looked_into(
    scene: ArrangedScene, positions: Float[Tensor, "*n 3"], behind: Bool[Tensor, "*n"]
) -> Bool[Tensor, "*n"]:
    """Whether photographs looked into scene positions; `behind` says which lie behind something that is gone."""
    return scene.trained.looked_into(positions) & (scene.revealed.hidden(positions, behind) < 0.5)
