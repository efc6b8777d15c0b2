"""A provider that needs no key and no network: it answers at once, always alike, and says so.

Models named `fault-*` fail on demand, for tests and drills.
"""

from llm.providers.demo.faults import FAULTS
from llm.providers.demo.provider import MODELS, DemoProvider, untaken

__all__ = ["FAULTS", "MODELS", "DemoProvider", "untaken"]
