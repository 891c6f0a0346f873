"""The first room: makes elastic checkpoints (needs edgebert[train])."""
