"""Objects live in nerfstudio's viewer: what it draws, the panel, picking, boxes, and the stages of the run."""
