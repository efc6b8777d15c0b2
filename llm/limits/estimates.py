"""What a call may take in tokens, guessed before it is made and corrected after."""

import msgspec

from llm.tokens import PER_IMAGE
from llm.types import ChatRequest, ImagePart

CHARACTERS = 4  # of a token, in English; a real count comes later, and only where it is needed
EXPECTED_OUTPUT = 500  # tokens, where the request does not say how many at most

_encode = msgspec.json.Encoder().encode


def tokens(request: ChatRequest) -> int:
    """Return a quick guess of input and output together; it takes about a microsecond a message."""
    characters = images = 0
    if request.tools or request.response_format:
        characters += len(_encode((request.tools, request.response_format)))
    for message in request.messages:
        for call in message.tool_calls or ():
            characters += len(call.function.arguments)
        content = message.content
        if isinstance(content, str):
            characters += len(content)
            continue
        for part in content or ():
            if isinstance(part, ImagePart):
                images += 1
            else:
                characters += len(part.text)
    output = EXPECTED_OUTPUT if request.max_tokens is None else request.max_tokens
    return characters // CHARACTERS + images * PER_IMAGE + output + 1
