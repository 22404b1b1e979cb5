"""Admission by what users bring: webhooks, and policies in CEL."""
