"""A client of the Kubernetes API, and what controllers are built of: informer, work queue, controller, lease."""
