"""Which sub-network a budget buys: numbers in, one choice out. Knows neither clocks nor how networks are run."""
