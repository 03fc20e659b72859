"""Scores on views with true labels: predictions, metrics, label files, and the machine that computed them."""
