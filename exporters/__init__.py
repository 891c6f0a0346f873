"""Turns checkpoints into bundles; needs edgebert[export]. Knows nothing about training."""
