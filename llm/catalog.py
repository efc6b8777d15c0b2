"""What is publicly known of vendors' models: which to begin with, how large they are."""

from billing import prices
from llm.presets import vendor_of

# Offered where no models are named. The first one answers to the alias `default`: good enough for
# most questions, and not the dearest.
OPENAI_MODELS = ("gpt-5.4-mini", "gpt-5.5", "gpt-5.4-nano")
ANTHROPIC_MODELS = ("claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5")
GEMINI_MODELS = ("gemini-3.8-flash", "gemini-3.1-pro-preview", "gemini-3.5-flash-lite")


def vendor_id(kind: str, base_url: str) -> str | None:
    """Return whose public prices hold; `None` for a server of one's own."""
    vendor = vendor_of(kind, base_url)
    return vendor.vendor_id if vendor else None


def context_tokens(vendor_id: str | None, model: str) -> int | None:
    """Return the size of the model's window; `None` where it is not known."""
    listed = prices.find_listed(vendor_id, model)
    return listed.context_window if listed else None
