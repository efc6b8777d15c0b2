"""What the demo says."""

from llm.types import ChatRequest, Message, TextPart

ANSWER = """\
This is Parley's demo model `{model}`. It writes this text without a language model, so that you \
can try everything else before you have a key.

You asked: "{question}"

Here is what happened to your question:

1. Parley took it with what was said before it (messages in all: {messages}).
2. It held the most that the answer can cost on every budget that applies.
3. It sent the conversation to this model, and relays each word as it comes.
4. When the last word is out, it books the true cost: the hold becomes a price.

A program would ask the same like this:

```python
from openai import OpenAI

client = OpenAI(base_url="https://parley.example/v1", api_key="pk-...")
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.choices[0].message.content)
```
"""
MORE = """
You wrote a longer question, so here is a longer answer, with something for the eye:

| step | what it does | who sees it |
|---|---|---|
| guard | checks size and limits | the caller, when it refuses |
| hold | takes the worst case from the budget | staff, as *held* |
| settle | books the true cost | everyone |

> Connect a real provider, and the same page, the same socket and the same API speak to it.
"""
TOOL_ANSWER = """\
This is Parley's demo model `{model}`. It has called the tool, and this is what came back:

{result}
"""


def text_for(request: ChatRequest, model: str) -> str:
    """Return the answer in words."""
    if request.messages[-1].role == "tool":
        return TOOL_ANSWER.format(model=model, result=_words_of(request.messages[-1]))
    question = _last_question(request)
    shown = question if len(question) <= 200 else question[:199] + "…"
    answer = ANSWER.format(
        model=model, question=shown.replace("\n", " "), messages=len(request.messages)
    )
    return answer + MORE if len(question) > 200 else answer


def _last_question(request: ChatRequest) -> str:
    for message in reversed(request.messages):
        if message.role == "user" and message.content is not None:
            return _words_of(message)
    return ""


def _words_of(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content.strip()
    texts = [part.text for part in message.content or () if isinstance(part, TextPart)]
    return " ".join(texts).strip()
