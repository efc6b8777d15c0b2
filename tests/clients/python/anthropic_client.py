"""Anthropic's client for Python on `/v1/messages`."""

from typing import Any

import anthropic
import basics

client = anthropic.Anthropic(base_url=basics.URL, api_key=basics.KEY, max_retries=0)
HELLO: Any = [{"role": "user", "content": "Hello"}]
TOOLS: Any = [{"name": "weather", "input_schema": basics.CITY}]


def ask(asking: anthropic.Anthropic = client, **more: Any) -> anthropic.types.Message:
    asked: dict[str, Any] = {"model": "default", "max_tokens": 500, "messages": HELLO}
    message: anthropic.types.Message = asking.messages.create(**{**asked, **more})
    return message


def models() -> None:
    listed = [model.id for model in client.models.list(limit=2)]
    assert "default" in listed, listed
    assert len(listed) == len(set(listed)) > 2
    found = client.models.retrieve("default")
    assert (found.id, found.type) == ("default", "model")
    assert found.created_at.year > 2000


def chat() -> None:
    answer = ask(system="Be kind.")
    assert answer.content[0].type == "text"
    assert answer.content[0].text
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens > 0


def stream() -> None:
    with client.messages.stream(model="default", max_tokens=500, messages=HELLO) as events:
        text = "".join(events.text_stream)
        whole = events.get_final_message()
    assert whole.content[0].type == "text"
    assert whole.content[0].text == text
    assert whole.usage.output_tokens > 0


def tools() -> None:
    asked = ask(tools=TOOLS)
    assert asked.stop_reason == "tool_use"
    use: Any = next(block for block in asked.content if block.type == "tool_use")
    assert "city" in use.input
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "Sunny"}
    told = {"role": "assistant", "content": asked.content}
    answer = ask(tools=TOOLS, messages=[*HELLO, told, {"role": "user", "content": [result]}])
    assert answer.content[0].type == "text"


def count_tokens() -> None:
    assert client.messages.count_tokens(model="default", messages=HELLO).input_tokens > 0


def error_400() -> None:
    error = basics.raised(anthropic.BadRequestError, lambda: ask(max_tokens=0))
    assert "max_tokens" in str(error)


def error_401() -> None:
    wrong = client.with_options(api_key=basics.WRONG_KEY)
    basics.raised(anthropic.AuthenticationError, lambda: ask(wrong))


def error_404() -> None:
    basics.raised(anthropic.NotFoundError, lambda: ask(model="no-such-model"))


def error_429() -> None:
    basics.raised(anthropic.RateLimitError, lambda: ask(model="fault-429"))


if __name__ == "__main__":
    basics.run(
        {
            "models": models,
            "chat": chat,
            "stream": stream,
            "tools": tools,
            "count_tokens": count_tokens,
            "error_400": error_400,
            "error_401": error_401,
            "error_404": error_404,
            "error_429": error_429,
        }
    )
