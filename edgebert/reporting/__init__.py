"""Rows, fronts and doubts as values: what a table or a page shows of a measurement. Prints nothing."""
