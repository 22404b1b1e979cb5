"""Encryption at rest: values of chosen resources are sealed before they reach the store."""
