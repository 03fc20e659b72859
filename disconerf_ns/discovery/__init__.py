"""Object discovery: surface cells, the consensus of the masks, explanations of masks, objects, reports."""
