"""Engines that run containers, the most capable first."""
