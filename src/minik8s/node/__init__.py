"""What runs on a node: kubelet, container runtime, service proxy. They meet at CRI and at the API."""
