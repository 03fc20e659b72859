"""Films of a scene's objects: where cameras go, what a frame shows, and the files that other programs open."""
