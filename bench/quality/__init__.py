"""Any fleet file through every method under one rule: ``python -m bench.quality``."""
