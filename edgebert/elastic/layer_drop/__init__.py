"""Poor Man's BERT (arXiv 2004.03844): layers dropped, the rest fine-tuned."""
