"""Service addresses on this host, forwarded to ready endpoints."""
