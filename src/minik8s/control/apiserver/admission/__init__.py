"""Admission plugins, in execution order (as upstream's chain)."""
