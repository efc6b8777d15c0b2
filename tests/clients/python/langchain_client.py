"""LangChain's OpenAI provider."""

from typing import Any

import basics
import openai
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr


class City(BaseModel):
    """A place."""

    city: str


def model(name: str = "default", key: str = basics.KEY, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model=name,
        base_url=f"{basics.URL}/v1",
        api_key=SecretStr(key),
        max_retries=0,
        **more,
    )


def chat() -> None:
    answer = model().invoke("Hello")
    assert answer.content
    assert answer.usage_metadata
    assert answer.usage_metadata["output_tokens"] > 0


def stream() -> None:
    whole: AIMessageChunk | None = None
    for chunk in model(stream_usage=True).stream("Hello"):
        assert isinstance(chunk, AIMessageChunk)
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert whole.content
    assert whole.usage_metadata
    assert whole.usage_metadata["output_tokens"] > 0


def tools() -> None:
    bound = model().bind_tools([City])
    question = HumanMessage("Hello")
    asked = bound.invoke([question])
    assert asked.tool_calls
    assert "city" in asked.tool_calls[0]["args"]
    result = ToolMessage("Sunny", tool_call_id=asked.tool_calls[0]["id"])
    assert bound.invoke([question, asked, result]).content


def structured() -> None:
    assert isinstance(model().with_structured_output(City).invoke("Hello"), City)


def embeddings() -> None:
    embedder = OpenAIEmbeddings(
        model="demo-embedding",
        base_url=f"{basics.URL}/v1",
        api_key=SecretStr(basics.KEY),
        check_embedding_ctx_length=False,  # it would load a tokenizer's tables from elsewhere
    )
    vectors = embedder.embed_documents(["one", "two"])
    assert len(vectors) == 2
    assert vectors[0] == embedder.embed_query("one")


def error_400() -> None:
    basics.raised(openai.BadRequestError, lambda: model(temperature=9).invoke("Hello"))


def error_401() -> None:
    wrong = model(key=basics.WRONG_KEY)
    basics.raised(openai.AuthenticationError, lambda: wrong.invoke("Hello"))


def error_404() -> None:
    basics.raised(openai.NotFoundError, lambda: model("no-such-model").invoke("Hello"))


def error_429() -> None:
    basics.raised(openai.RateLimitError, lambda: model("fault-429").invoke("Hello"))


if __name__ == "__main__":
    basics.run(
        {
            "chat": chat,
            "stream": stream,
            "tools": tools,
            "structured": structured,
            "embeddings": embeddings,
            "error_400": error_400,
            "error_401": error_401,
            "error_404": error_404,
            "error_429": error_429,
        }
    )
