"""Which models there are: vendors' endpoints, what they serve, and the names people ask for."""

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q


class ProviderKind(models.TextChoices):
    """The wire formats; `llm.providers` has a file for each."""

    OPENAI = "openai", "OpenAI or any server that speaks its API"
    AZURE = "azure", "Azure OpenAI"
    ANTHROPIC = "anthropic", "Anthropic"
    DEMO = "demo", "Demo (answers without a model)"


class Provider(models.Model):
    """A vendor's endpoint with its credentials."""

    name = models.SlugField(max_length=100, unique=True)
    kind = models.CharField(max_length=20, choices=ProviderKind)
    base_url = models.CharField(
        "address",
        max_length=500,
        blank=True,
        # Not a URLField: inside a cluster hosts are called `vllm`, which Django takes for a typo.
        validators=[RegexValidator(r"^https?://[^\s/]+", "It begins with http:// or https://.")],
        help_text="Empty: the vendor's own.",
    )
    api_version = models.CharField(max_length=40, blank=True, help_text="Azure OpenAI only.")
    api_key_env = models.CharField(
        "API key variable",
        max_length=100,
        blank=True,
        help_text="The environment variable that holds the key. It wins over a stored key.",
    )
    api_key_encrypted = models.TextField(blank=True, editable=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse what no call could be made with."""
        if self.kind == ProviderKind.AZURE and not self.base_url:
            raise ValidationError({"base_url": "Azure OpenAI has an address for each customer."})


class Deployment(models.Model):
    """A model that a provider serves."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="deployments")
    model = models.CharField(
        max_length=200, help_text="As the provider names it; for Azure, the deployment's name."
    )
    context_tokens = models.PositiveIntegerField(null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(
        default=4096,
        validators=[MinValueValidator(1)],
        help_text="Asked of the model where the caller sets no limit; more is refused.",
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["provider", "model"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "model"], name="deployment_once"),
            models.CheckConstraint(
                condition=Q(max_output_tokens__gte=1), name="deployment_has_output"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.model}"


class Route(models.Model):
    """A name that callers ask for, and the deployments tried for it in order."""

    alias = models.CharField(max_length=200, unique=True)
    description = models.CharField(max_length=200, blank=True)
    deployments = models.ManyToManyField(
        Deployment, through="RouteDeployment", related_name="routes"
    )
    is_cached = models.BooleanField(
        "cache answers",
        default=False,
        help_text="Answer the same request from the cache, also where its temperature is not 0.",
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["alias"]

    def __str__(self) -> str:
        return self.alias


class RouteDeployment(models.Model):
    """A deployment's place in a route; the lowest position is tried first."""

    route = models.ForeignKey(Route, models.CASCADE, related_name="steps")
    deployment = models.ForeignKey(Deployment, models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["route", "position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["route", "deployment"], name="route_step_once")
        ]

    def __str__(self) -> str:
        return f"{self.route}: {self.deployment}"
