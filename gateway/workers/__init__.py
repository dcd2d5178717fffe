"""How workers are started and kept running."""
