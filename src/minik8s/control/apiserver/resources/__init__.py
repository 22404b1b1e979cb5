"""The kinds the apiserver serves; ALL is the one list that routes, discovery and OpenAPI are driven by."""
