"""The checker of recorded histories: what clients asked and heard, held against what etcd promises. Pure."""
