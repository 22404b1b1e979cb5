"""etcd's role: a revisioned key-value store, replicated by Raft, served as etcd v3 gRPC. Bytes in, bytes out."""
