"""Generated from proto/cri: see scripts/gen."""
