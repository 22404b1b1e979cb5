"""Generated from proto/grpc: see scripts/gen."""
