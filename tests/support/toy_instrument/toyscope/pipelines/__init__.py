"""The pipelines, as YAML."""
