"""`/v1/files`: what programs upload for their batches, and what comes of these."""
