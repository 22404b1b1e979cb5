"""Places pods on nodes: a pure cycle (snapshot to node) between an informer and the binding call."""
