"""The splits of a dataset that `ns-render dataset` is about to render: it ends in a traceback where one is empty."""

from __future__ import annotations

from disconerf_ns.compat.calling_frame import calling_frame


def rendered_splits() -> tuple[str, ...]:
    """Names of the splits, such as "test"; none if another command runs."""
    frame = calling_frame("nerfstudio.scripts.render", "main")
    splits = getattr(None if frame is None else frame.f_locals.get("self"), "split", None)
    return tuple(splits.split("+")) if splits else ()
