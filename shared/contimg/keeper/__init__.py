"""The keeper: the only opener of the databases. Index of runs and records, facts, clean-up."""
