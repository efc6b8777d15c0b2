"""Prompts as readable files: written for git, read back with a plan first, taken from Langfuse."""
