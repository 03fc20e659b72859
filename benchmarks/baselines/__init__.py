"""Other ways to lift the masks of the views into one scene, trained on the surfaces that a run has sampled.

Each file's `train(pipeline, iterations, seed)` gives a module that takes the object field's place: contracted positions
(n, 3) in [0, 1]^3 to probabilities (n, slots), rows summing to 1, and `slots`. The pipeline stays as it is.
"""
