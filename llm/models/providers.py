"""Which models there are: vendors' endpoints and what they serve."""

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

ABOVE_ZERO = MinValueValidator(0.001)


class ProviderKind(models.TextChoices):
    """The wire formats; `llm.providers` has a file for each."""

    OPENAI = "openai", "OpenAI or any server that speaks its API"
    AZURE = "azure", "Azure OpenAI"
    ANTHROPIC = "anthropic", "Anthropic"
    DEMO = "demo", "Demo (answers without a model)"


class Auth(models.TextChoices):
    """What a provider's secrets are."""

    KEY = "key", "API keys"
    TOKEN = "token", "Microsoft Entra tokens (Azure OpenAI only)"


class Provider(models.Model):
    """A vendor's endpoint."""

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
    auth = models.CharField("signs in with", max_length=10, choices=Auth, default=Auth.KEY)
    max_connections = models.PositiveIntegerField(
        default=0, help_text="At once, in each process. 0: no limit."
    )
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
        if self.kind != ProviderKind.AZURE and self.auth != Auth.KEY:
            raise ValidationError({"auth": "Only Azure OpenAI takes tokens."})


class Credential(models.Model):
    """A key of a provider: named by an environment variable, or kept here encrypted."""

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="credentials")
    name = models.CharField(max_length=100, help_text="For yourselves: whose key it is.")
    environment_variable = models.CharField(
        max_length=100,
        blank=True,
        validators=[RegexValidator(r"^[A-Za-z_][A-Za-z0-9_]*$", "This is no variable's name.")],
        help_text="The variable that holds the key. It wins over a stored key.",
    )
    secret_encrypted = models.TextField(blank=True, editable=False)
    # Which of PARLEY_SECRET_KEYS it is encrypted with; empty where none of them could read it.
    secret_key_id = models.CharField(max_length=8, blank=True, editable=False)
    weight = models.PositiveSmallIntegerField(
        default=1, help_text="Its share of the calls. 0: only when there is no other."
    )
    is_active = models.BooleanField(default=True)
    set_aside_at = models.DateTimeField(null=True, editable=False)
    set_aside_reason = models.CharField(max_length=100, blank=True, editable=False)
    # A hash of what was refused: another key under the same variable has not been.
    set_aside_secret = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "key"
        ordering = ["provider", "name"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "name"], name="credential_name_once"),
            models.CheckConstraint(
                condition=~Q(environment_variable="", secret_encrypted=""),
                name="credential_has_a_source",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"


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
    connect_seconds = models.FloatField(default=10, validators=[ABOVE_ZERO])
    first_token_seconds = models.FloatField(
        default=60, validators=[ABOVE_ZERO], help_text="From the call to the first content."
    )
    idle_seconds = models.FloatField(
        default=60, validators=[ABOVE_ZERO], help_text="Between two pieces of a stream."
    )
    total_seconds = models.FloatField(default=900, validators=[ABOVE_ZERO])
    takes_images = models.BooleanField(default=True)
    takes_tools = models.BooleanField(default=True)
    takes_schema = models.BooleanField("takes a JSON schema", default=True)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["provider", "model"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "model"], name="deployment_once"),
            models.CheckConstraint(
                condition=Q(max_output_tokens__gte=1), name="deployment_has_output"
            ),
            models.CheckConstraint(
                condition=Q(
                    connect_seconds__gt=0,
                    first_token_seconds__gt=0,
                    idle_seconds__gt=0,
                    total_seconds__gt=0,
                ),
                name="deployment_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.model}"
