"""Who may do what: authorizers, the rules they read, the policy every cluster begins with, and reviews of access."""
