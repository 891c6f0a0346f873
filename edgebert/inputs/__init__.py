"""What is read: bundles, graph files, texts as tokens, and data files. Knows nothing about how graphs are run."""
