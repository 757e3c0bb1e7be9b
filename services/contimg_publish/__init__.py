"""Stage publish: the verdict of a group, its report and provenance, and the plan of what to publish."""
