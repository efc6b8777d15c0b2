"""`POST /v1/embeddings`: vectors for texts, on OpenAI's wire."""
