"""Training of both stages: schedule, batches of rays or whole views, objective, and radiance fields of earlier runs."""
