"""The vocabulary of Kubernetes that both ends of the API share: kinds, documents, selectors, quantities, errors."""
