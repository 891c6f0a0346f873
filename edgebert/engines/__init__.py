"""What runs graphs: a file for each engine. Knows nothing about what an answer means."""
