"""The Kubernetes API over REST and gRPC: one write path, one store watch, no state of its own."""
