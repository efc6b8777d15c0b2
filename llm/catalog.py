"""What is publicly known of vendors' models: which to begin with, how large they are."""

from genai_prices.data_snapshot import get_snapshot

from llm.models import ProviderKind

# What `genai-prices` calls the vendors.
VENDOR_IDS: dict[str, str] = {
    ProviderKind.OPENAI: "openai",
    ProviderKind.AZURE: "azure",
    ProviderKind.ANTHROPIC: "anthropic",
}
GEMINI_ID = "google"

# Offered where no models are named. The first one answers to the alias `default`: good enough for
# most questions, and not the dearest.
OPENAI_MODELS = ("gpt-5.4-mini", "gpt-5.5", "gpt-5.4-nano")
ANTHROPIC_MODELS = ("claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5")
GEMINI_MODELS = ("gemini-3.8-flash", "gemini-3.1-pro-preview", "gemini-3.5-flash-lite")


def vendor_id(kind: str, base_url: str) -> str | None:
    """Return whose public prices hold; `None` for a server of one's own."""
    is_elsewhere = base_url and kind != ProviderKind.AZURE
    return None if is_elsewhere else VENDOR_IDS.get(kind)


def context_tokens(vendor_id: str | None, model: str) -> int | None:
    """Return the size of the model's window; `None` where it is not known."""
    if vendor_id is None:
        return None
    try:
        _, found = get_snapshot().find_provider_model(model, None, vendor_id, None)
    except LookupError:
        return None
    return found.context_window
