"""A search as a run: its tasks, and making one in a store."""
