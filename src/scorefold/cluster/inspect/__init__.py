"""Inspection as runs: learning a model, and comparing images with it."""
