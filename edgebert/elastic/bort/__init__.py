"""Bort (arXiv 2010.10499): the architecture that suits a device, searched for and distilled into."""
