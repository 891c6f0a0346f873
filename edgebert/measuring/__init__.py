"""What sub-networks cost on this device and how good they are. Knows nothing about budgets."""
