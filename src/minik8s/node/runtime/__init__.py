"""Our CRI runtime: sandboxes and containers behind a unix socket, run by one of several engines."""
