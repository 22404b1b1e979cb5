"""What extends the API while it runs: CustomResourceDefinitions, their objects, and APIServices served by others."""
