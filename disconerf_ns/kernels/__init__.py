"""Fast kernels in Triton, each with a torch twin of the same values and gradients; Triton is imported where used."""
