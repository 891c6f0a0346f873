"""This machine: what it is, what a process may use of it, how fast it is now. Knows nothing about networks."""
