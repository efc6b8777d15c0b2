"""`manage.py import_prices`: propose the public prices of the models that are served here."""

from typing import Any

from django.core.management.base import BaseCommand

from billing.models import ProposalState
from billing.prices import proposals
from llm import catalog
from llm.models import Deployment


class Command(BaseCommand):
    help = "Propose the prices of genai-prices for the models of the deployments."

    def handle(self, **options: Any) -> None:
        """Print a line for each new proposal; a second run makes none."""
        count = 0
        deployments = Deployment.objects.select_related("provider")
        for deployment in deployments.order_by("provider__name", "model"):
            provider = deployment.provider
            proposal = proposals.propose(
                provider=provider.name,
                vendor_id=catalog.vendor_id(provider.kind, provider.base_url),
                model=deployment.model,
            )
            if proposal is None:
                continue
            count += 1
            is_accepted = proposal.state == ProposalState.ACCEPTED
            self.stdout.write(f"{proposal}: {'accepted' if is_accepted else 'proposed'}")
            for warning in proposal.warnings:
                self.stdout.write(f"  {warning}")
        self.stdout.write(f"{count} new, to be looked at under Billing, Price proposals.")
