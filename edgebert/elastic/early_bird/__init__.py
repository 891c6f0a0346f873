"""EarlyBERT (arXiv 2101.00063): the heads and neurons that matter, found early, and trained alone."""
