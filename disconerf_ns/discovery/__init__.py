"""The objects that the masks of all views agree on: cells, consensus, explanations of masks, objects, reports."""
