"""The controllers, each one file; ALL is the one list the manager starts."""
