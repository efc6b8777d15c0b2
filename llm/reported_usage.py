"""Whether a vendor's figures can be those of the words that went to it and came back.

They are believed, for it is the vendor's tokenizer that is paid, unless they are far below what the
text has by our own count: a server that says "1" to everything would be free of every budget.
"""

from billing.pricing import TokenUsage

TIMES = 10  # as many tokens by our count; tokenizers differ by three and four where digits abound
APART = 50  # tokens; in fewer, what surrounds the words weighs too much
# Of an answer for each token that is reported. Most writing has three to five. Counting is slow, so
# it is done only where the figure looks too small.
USUAL_BYTES = 20


def can_be(reported: TokenUsage, *, input_tokens: int, output_tokens: int) -> bool:
    """Return whether the report can be true, given our own counts; 0 says nothing.

    They are compared uncorrected: what was learned from a vendor's reports does not judge them.
    """
    return not (
        _is_far_below(reported.total_input, input_tokens)
        or _is_far_below(reported.total_output, output_tokens)
    )


def is_doubtful(reported: TokenUsage, *, input_tokens: int, answer: str) -> bool:
    """Return whether the answer should be counted before the report is believed.

    `input_tokens` is our own count of the request; 0 where it is more than words.
    """
    if _is_far_below(reported.total_input, input_tokens):
        return True
    size = len(answer) if answer.isascii() else len(answer.encode("utf-8", "surrogatepass"))
    return size > USUAL_BYTES * reported.total_output and size > APART


def _is_far_below(reported: int, counted: int) -> bool:
    return counted > TIMES * reported and counted - reported > APART
