"""How a graph computes what tokens attend to: a file for each way in which it knows where tokens stand."""
