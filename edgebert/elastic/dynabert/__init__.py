"""DynaBERT (arXiv 2004.04037): one set of weights for all widths and depths."""
