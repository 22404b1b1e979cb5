"""The audit log: who did what, as far as a policy asks for it (audit.k8s.io/v1)."""
