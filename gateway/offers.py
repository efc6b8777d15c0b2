"""The name in an address below `/v1/models/`, as it is offered to the caller."""

from gateway.http import ApiConsumer
from llm import service
from llm.errors import ModelNotFound
from llm.types import ModelOffer


async def asked(consumer: ApiConsumer) -> ModelOffer:
    """Return what the address names, or raise `ModelNotFound`."""
    name = consumer.scope["url_route"]["kwargs"]["model"]
    for offer in await service.models(consumer.principal):
        if offer.id == name:
            return offer
    raise ModelNotFound(f"There is no model `{name}`.", param="model")
