"""Everything around a stage's science: attempt, commit, warm child, worker loop, command line."""
