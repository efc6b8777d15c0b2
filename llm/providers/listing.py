"""The models that a vendor's server offers, listed through the SDK: it is no hot call."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    DefaultAsyncHttpxClient,
    Omit,
)

from llm.errors import ConnectionFailed, MalformedAnswer, ProviderError, TimedOut
from llm.providers import classify

SECONDS = 5.0  # of patience


class Model(Struct):
    id: str
    max_model_len: int | None = None  # vLLM tells it


class Page(Struct):
    data: list[Model]


_decode = msgspec.json.Decoder(Page).decode


async def models(
    client: AsyncOpenAI,
    provider: str,
    *,
    headers: Mapping[str, str | Omit] | None = None,
    query: Mapping[str, object] | None = None,
) -> dict[str, int | None]:
    """Return the models with their windows, where the server tells them; raise `ProviderError`."""
    # A redirect would take the key to another server, or us to one that only we can reach.
    no_redirects = DefaultAsyncHttpxClient(follow_redirects=False)
    async with client.with_options(http_client=no_redirects) as direct:
        try:
            answer = await direct.models.with_raw_response.list(
                extra_headers=headers, extra_query=query, timeout=SECONDS
            )
            page = _decode(answer.content)
        except APIError as error:
            raise _classified(provider, error) from error
        except classify.UNREADABLE as error:
            raise MalformedAnswer(f"The provider {provider} does not list models there.") from error
    return {model.id: model.max_model_len for model in page.data}


def _classified(provider: str, error: APIError) -> ProviderError:
    match error:
        case APITimeoutError():
            return TimedOut(f"The provider {provider} did not answer in time.")
        case APIConnectionError():
            return ConnectionFailed(f"The provider {provider} cannot be reached.")
        case APIStatusError():
            answer = error.response
            return classify.refusal(provider, answer.status_code, answer.content, answer.headers)
    return MalformedAnswer(f"The provider {provider} does not list models there.")
