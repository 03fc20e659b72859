"""The scene as a value: what was trained, how a person arranged it, and whose every point is."""
