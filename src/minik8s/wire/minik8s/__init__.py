"""Generated from proto/minik8s: see scripts/gen."""
