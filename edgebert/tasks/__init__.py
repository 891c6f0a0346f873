"""What networks answer: a file for each task. Knows nothing about files, engines or training."""
