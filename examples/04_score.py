"""Scores on held-out views with true labels: the field per view and for the whole scene, and the 2D masks beside it.

python examples/04_score.py outputs/.../config.yml DATA/labels
"""

import sys

from disconerf_ns import evaluate, load

scores = evaluate(load(sys.argv[1]), labels=sys.argv[2])
for title, values in (("2D masks", scores.masks), ("field", scores.views), ("whole scene", scores.scene)):
    print(f"{title:12}", "  ".join(f"{name} {100 * value:.1f}" for name, value in values.items()))
