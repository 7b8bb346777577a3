"""From a request to a job and its plan: tiles, batches, rotation blocks, memory and time."""
