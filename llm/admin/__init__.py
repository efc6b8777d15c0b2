"""What staff see of models, one file for each thing they look after."""

from llm.admin import caching, deployments, guardrails, limits, providers, routes

__all__ = ["caching", "deployments", "guardrails", "limits", "providers", "routes"]
