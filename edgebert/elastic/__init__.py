"""Trains checkpoints that are small and fast, or elastic, by methods of the field (needs edgebert[train])."""
