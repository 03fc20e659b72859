"""Training of both stages: schedule, batches of whole views, objective, and radiance fields of earlier runs."""
