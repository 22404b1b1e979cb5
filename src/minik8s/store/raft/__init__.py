"""Raft: PySyncObj's consensus with our log, transport, durability and reads around it. Only this package imports it."""
