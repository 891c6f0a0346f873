"""Answers texts with the sub-networks that were chosen, on time. Knows nothing about how profiles are measured."""
