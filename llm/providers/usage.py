"""Whether what a vendor says it has used can be true, and how it says it has served a call."""

from billing.pricing import ORDINARY, TokenUsage

# How vendors call the ordinary way: OpenAI, Anthropic, Groq.
ORDINARY_TIERS = ("", "default", "standard", "on_demand")
LONGEST_TIER = 20  # characters
UNREADABLE = "unreadable"


def served_tier(reported: object) -> str:
    """Return the service tier that a vendor reports, as far as it is a name."""
    if reported is None or reported in ORDINARY_TIERS:
        return ORDINARY
    name = str(reported)[:LONGEST_TIER]
    return name if name.isprintable() else UNREADABLE


def credible(usage: TokenUsage, *, has_content: bool) -> TokenUsage | None:
    """Return a vendor's figures, or `None` where they contradict themselves or the answer.

    A class below zero means that a part was larger than its total. Every request has a token, and
    so has every content. What is not credible is counted by ourselves, and marked as an estimate.
    """
    if not usage.is_bookable or not usage.total_input or (has_content and not usage.total_output):
        return None
    return usage
