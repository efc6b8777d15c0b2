"""What staff configure of models, and what is recorded of it."""

from llm.models.caching import CachePurge, SemanticAnswer, SemanticHit
from llm.models.guardrails import GuardrailDecision, GuardrailRule
from llm.models.limits import Limit, LimitRefusal, Scope
from llm.models.providers import Auth, Credential, Deployment, Provider, ProviderKind
from llm.models.routes import Route, RouteDeployment, StepRole, Strategy

__all__ = [
    "Auth",
    "CachePurge",
    "Credential",
    "Deployment",
    "GuardrailDecision",
    "GuardrailRule",
    "Limit",
    "LimitRefusal",
    "Provider",
    "ProviderKind",
    "Route",
    "RouteDeployment",
    "Scope",
    "SemanticAnswer",
    "SemanticHit",
    "StepRole",
    "Strategy",
]
