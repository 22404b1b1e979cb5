"""The minik8s command: one sub-command per process, and up, down, status around them."""
