"""Benchmarks: ours and the peers', alternating in one run, with medians, ratios and the conditions that differ."""
