"""What every component needs and Kubernetes does not own: time, ids, logs, metrics, TLS, running as a process."""
