"""Keeps the pods bound to this node running, through CRI, and reports what it sees."""
