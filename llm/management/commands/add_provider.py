"""`manage.py add_provider`: a vendor, its key and its models in one line."""

from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from billing import prices
from billing.models import Price
from llm import catalog, credentials, provisioning
from llm.models import Credential, Provider, ProviderKind


class Command(BaseCommand):
    help = "Add a provider with its models; each model can be asked for by its name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what the provider is called in Parley")
        parser.add_argument("--kind", required=True, choices=ProviderKind.values)
        parser.add_argument("--base-url", default="", help="default: the vendor's own address")
        parser.add_argument("--api-version", default="", help="Azure OpenAI only")
        key = parser.add_mutually_exclusive_group()
        key.add_argument("--api-key", default="", help="the key; it is stored encrypted")
        key.add_argument("--api-key-env", default="", help="the variable that holds the key")
        parser.add_argument("--models", required=True, help="comma separated")
        parser.add_argument("--input-price", type=_usd, help="US dollars per million tokens")
        parser.add_argument("--output-price", type=_usd, help="US dollars per million tokens")

    @transaction.atomic
    def handle(self, **options: Any) -> None:
        """Make the provider and its models, all or nothing."""
        given = (options["input_price"], options["output_price"])
        if (given[0] is None) != (given[1] is None):
            raise CommandError("Give both --input-price and --output-price, or neither.")
        models = [model.strip() for model in options["models"].split(",") if model.strip()]
        if not models:
            raise CommandError("--models names no model.")
        provider = _provider(options)
        for model in models:
            self._add(provider, model, options)

    def _add(self, provider: Provider, model: str, options: dict[str, Any]) -> None:
        vendor_id = catalog.vendor_id(provider.kind, provider.base_url)
        context_tokens = catalog.context_tokens(vendor_id, model)
        if not provisioning.add_deployment(provider, model, context_tokens=context_tokens):
            raise CommandError(f"{provider.name} serves {model} already.")
        if options["input_price"] is not None:
            price: Price | None = prices.set_price(
                provider=provider.name,
                model=model,
                input_usd=options["input_price"],
                output_usd=options["output_price"],
                source="add_provider",
            )
        else:
            price = prices.seed_from_catalog(provider.name, vendor_id, model)
        priced = (
            f"${price.input_usd.normalize():f} in, ${price.output_usd.normalize():f} out "
            "per million tokens"
            if price
            else "no price known: its calls are recorded as unpriced"
        )
        self.stdout.write(f"{provider.name}/{model}: {priced}")


def _provider(options: dict[str, Any]) -> Provider:
    provider = Provider(
        name=options["name"],
        kind=options["kind"],
        base_url=options["base_url"],
        api_version=options["api_version"],
    )
    keys = _keys(provider, options)
    try:
        provider.full_clean()
        for key in keys:
            key.full_clean(exclude=["provider"])
    except ValidationError as error:
        raise CommandError("; ".join(error.messages)) from error
    if problems := credentials.problems(provider, keys):
        raise CommandError(" ".join(problems))
    provider.save()
    for key in keys:
        key.save()
    return provider


def _keys(provider: Provider, options: dict[str, Any]) -> list[Credential]:
    key = Credential(provider=provider, name="main")
    if options["api_key"]:
        key.secret_encrypted, key.secret_key_id = credentials.encrypt(options["api_key"])
    elif options["api_key_env"]:
        key.environment_variable = options["api_key_env"]
    else:
        return []
    return [key]


def _usd(text: str) -> Decimal:
    try:
        price = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(text) from error
    if not price.is_finite() or price < 0:
        raise ValueError(text)
    return price
