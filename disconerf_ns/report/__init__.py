"""One page about a scene and its objects, which opens offline in any browser."""
