"""minik8s: a highly available Kubernetes whose parts meet only at public protocols."""
