"""Generated message classes of the protocols at the seams: etcd v3, CRI v1, and the apiserver's gRPC face."""
