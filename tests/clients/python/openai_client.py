"""OpenAI's client for Python: chat completions, responses, embeddings, models, errors."""

import json
from typing import Any

import basics
import openai
from pydantic import BaseModel

client = openai.OpenAI(base_url=f"{basics.URL}/v1", api_key=basics.KEY, max_retries=0)
HELLO: Any = [{"role": "user", "content": "Hello"}]
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": basics.CITY}}]


class City(BaseModel):
    city: str


def ask(**more: Any) -> Any:
    return client.chat.completions.create(**{"model": "default", "messages": HELLO, **more})


def models() -> None:
    listed = [model.id for model in client.models.list()]
    assert "default" in listed, listed
    assert client.models.retrieve("default").id == "default"


def chat() -> None:
    answer = ask()
    assert answer.choices[0].message.content
    assert answer.usage
    assert answer.usage.completion_tokens > 0


def stream() -> None:
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert not chunks[-1].choices
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens > 0
    assert len({chunk.id for chunk in chunks}) == 1


def tools() -> None:
    asked = ask(tools=TOOLS)
    message = asked.choices[0].message
    assert message.tool_calls
    assert asked.choices[0].finish_reason == "tool_calls"
    call = message.tool_calls[0]
    assert "city" in json.loads(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "Sunny"}
    answer = ask(messages=[*HELLO, message.to_dict(), result], tools=TOOLS)
    assert answer.choices[0].message.content


def structured() -> None:
    answer = client.chat.completions.parse(model="default", messages=HELLO, response_format=City)
    assert isinstance(answer.choices[0].message.parsed, City)


def embeddings() -> None:
    both = client.embeddings.create(model="demo-embedding", input=["one", "two"])
    assert [vector.index for vector in both.data] == [0, 1]
    plain = client.embeddings.create(model="demo-embedding", input="one", encoding_format="float")
    assert plain.data[0].embedding == both.data[0].embedding
    assert both.usage.prompt_tokens > 0


def responses() -> None:
    answer = client.responses.create(model="default", input="Hello")
    assert answer.output_text
    assert answer.status == "completed"
    with client.responses.stream(model="default", input="Hello") as events:
        text = "".join(
            event.delta for event in events if event.type == "response.output_text.delta"
        )
        assert events.get_final_response().output_text == text


def error_400() -> None:
    error = basics.raised(openai.BadRequestError, lambda: ask(temperature=9))
    assert error.param == "temperature"


def error_401() -> None:
    wrong = client.with_options(api_key=basics.WRONG_KEY)
    error = basics.raised(openai.AuthenticationError, lambda: list(wrong.models.list()))
    assert error.code == "invalid_api_key"


def error_404() -> None:
    error = basics.raised(openai.NotFoundError, lambda: ask(model="no-such-model"))
    assert error.code == "model_not_found"


def error_429() -> None:
    error = basics.raised(openai.RateLimitError, lambda: ask(model="fault-429"))
    assert error.code == "provider_rate_limited"


if __name__ == "__main__":
    basics.run(
        {
            "models": models,
            "chat": chat,
            "stream": stream,
            "tools": tools,
            "structured": structured,
            "embeddings": embeddings,
            "responses": responses,
            "error_400": error_400,
            "error_401": error_401,
            "error_404": error_404,
            "error_429": error_429,
        }
    )
