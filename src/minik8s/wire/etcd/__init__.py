"""Generated from proto/etcd: see scripts/gen."""
