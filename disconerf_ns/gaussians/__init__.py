"""3D gaussians: as values, from splatfacto's checkpoints, and as a radiance field that rays march through."""
