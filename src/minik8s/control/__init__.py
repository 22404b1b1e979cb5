"""The control plane: apiserver, scheduler, controllers. They never import each other; they meet at the API."""
