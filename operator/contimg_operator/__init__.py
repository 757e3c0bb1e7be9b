"""The operator: custom resources as the host's Resources; the only code that talks to Kubernetes."""
