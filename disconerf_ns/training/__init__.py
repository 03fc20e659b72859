"""Parts of an iteration: schedule, batches of whole views, objective; and radiance fields of earlier runs."""
