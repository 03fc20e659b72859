"""Synthetic scenes with exact instance ground truth, made by a path tracer."""
