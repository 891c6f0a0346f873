"""One small file for each family of checkpoints: its tensors' names and what differs."""
