"""Objects as files that other programs open: meshes, points, boxes, pictures and masks in the capture's own frame."""
