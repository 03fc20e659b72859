"""Triton kernels, each with a torch twin of the same values and gradients; Triton is imported only where it is used."""
