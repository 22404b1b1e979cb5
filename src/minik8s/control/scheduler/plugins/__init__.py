"""The scheduling plugins and their weights, in order."""
