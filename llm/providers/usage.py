"""Whether what a vendor says it has used can be true."""

from billing.pricing import TokenUsage


def credible(usage: TokenUsage, *, has_content: bool) -> TokenUsage | None:
    """Return a vendor's figures, or `None` where they contradict themselves or the answer.

    A class below zero means that a part was larger than its total. Every request has a token, and
    so has every content. What is not credible is counted by ourselves, and marked as an estimate.
    """
    if not usage.is_bookable or not usage.total_input or (has_content and not usage.total_output):
        return None
    return usage
