"""Files that programs upload, and batches: requests that the worker asks, line by line."""

from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Count, Exists, Func, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import ApiKey, Membership, Organization
from accounts.principal import Principal
from core.ids import new_id

MOST_AT_ONCE = 100
SLOWEST = 0.001  # calls a second: one in about a quarter of an hour
OK = 200
NONE = models.Value([], models.JSONField())
NOTHING = models.Value({}, models.JSONField())


class FilePurpose(models.TextChoices):
    BATCH = "batch", "Requests of a batch"
    BATCH_OUTPUT = "batch_output", "Results of a batch"


class FileQuerySet(models.QuerySet["File"]):
    def visible_to(self, principal: Principal) -> Self:
        """Return a person's own files; for a key that belongs to nobody, the key's."""
        return self.filter(_own(principal), expires_at__gt=timezone.now())

    def expired(self) -> Self:
        return self.filter(expires_at__lte=timezone.now())


def content_path(file: "File", name: str) -> str:
    """Return where the content lies; nothing of it is chosen by the caller."""
    return f"{file.organization_id}/{file.pk.hex}.jsonl"


def file_expiry() -> datetime:
    return timezone.now() + timedelta(days=settings.FILE_DAYS)


class File(models.Model):
    """What a program has uploaded, or a batch has made. The content lies in Django's storage."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    # Protected: what is deleted with its owner would stay in the storage.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", editable=False
    )
    api_key_id = models.BigIntegerField(null=True, editable=False)
    name = models.CharField(max_length=255)
    bytes = models.BigIntegerField()
    purpose = models.CharField(max_length=12, choices=FilePurpose, default=FilePurpose.BATCH)
    created_at = models.DateTimeField("created", default=timezone.now)
    expires_at = models.DateTimeField("expires", default=file_expiry)
    content = models.FileField(upload_to=content_path)

    objects = FileQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["organization", "id"], name="file_by_organization"),
            models.Index(fields=["expires_at"], name="file_by_expiry"),
        ]

    def __str__(self) -> str:
        return self.name


class BatchState(models.TextChoices):
    VALIDATING = "validating", "Validating"
    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    FINALIZING = "finalizing", "Finalizing"
    CANCELLING = "cancelling", "Cancelling"
    FINISHED = "finished", "Finished"
    CANCELLED = "cancelled", "Cancelled"
    EXPIRED = "expired", "Expired"
    FAILED = "failed", "Failed"


# With the rights of those who pay; what follows only writes down what there is.
ASKING = (BatchState.VALIDATING, BatchState.WAITING, BatchState.RUNNING)
WRITING = (BatchState.FINALIZING, BatchState.CANCELLING)
UNFINISHED = (*ASKING, *WRITING)
ENDED = (BatchState.FINISHED, BatchState.CANCELLED, BatchState.EXPIRED)


class Endpoint(models.TextChoices):
    """What the requests of a batch ask for."""

    CHAT = "/v1/chat/completions", "Chat completions"
    EMBEDDINGS = "/v1/embeddings", "Embeddings"


class BatchQuerySet(models.QuerySet["Batch"]):
    def unfinished(self) -> Self:
        return self.filter(state__in=UNFINISHED)

    def free(self) -> Self:
        """Those that no worker holds: nobody has begun, or who began has died."""
        return self.filter(Q(lease_expires_at=None) | Q(lease_expires_at__lt=timezone.now()))

    def visible_to(self, principal: Principal) -> Self:
        """Return a person's own batches of the API; for a key that belongs to nobody, the key's."""
        return self.of_api().filter(_own(principal))

    def of_api(self) -> Self:
        """Those that a program has made; staff make the others."""
        return self.exclude(input_file_id=None)

    def due(self) -> Self:
        """Those at which a worker can do something: ask, or write down what there is."""
        has_expired = Q(expires_at__lte=timezone.now())
        return self.filter(
            Q(state__in=WRITING) | Q(state__in=ASKING) & (has_expired | _is_paid_for())
        )

    def going_on(self) -> Self:
        """Those whose lines may still be asked."""
        is_in_time = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        return self.filter(is_in_time, _is_paid_for(), state__in=ASKING)

    def counted(self) -> Self:
        """With `line_count`, `done_count` and `failed_count`.

        Subqueries rather than joins: of a list, only the rows that are shown are counted.
        """
        lines = BatchLine.objects.filter(batch=OuterRef("pk"))
        done = lines.filter(status_code__isnull=False)
        return self.annotate(
            line_count=_count(lines),
            done_count=_count(done),
            failed_count=_count(done.exclude(status_code=OK)),
        )


def _count(lines: "models.QuerySet[BatchLine]") -> Coalesce:
    counted = lines.order_by().values("batch").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(counted), 0)


def _is_paid_for() -> Q:
    """Say of a batch that its organization, and person and key if any, may still make calls."""
    is_member = Membership.objects.filter(
        user=OuterRef("user"), organization=OuterRef("organization")
    )
    key = ApiKey.objects.usable().filter(pk=OuterRef("api_key_id"))
    return (
        Q(organization__is_active=True)
        & (Q(user=None) | Q(Exists(is_member), user__is_active=True))
        & (Q(api_key_id=None) | Q(Exists(key)))
    )


def _own(principal: Principal) -> Q:
    """Say of a row that a person, or a key that belongs to nobody, has made it."""
    in_organization = Q(organization_id=principal.organization_id)
    if principal.user_id is None:
        return in_organization & Q(user=None, api_key_id=principal.api_key_id)
    return in_organization & Q(user_id=principal.user_id)


class Batch(models.Model):
    """A file of requests, who pays for it and how fast it is asked."""

    name = models.CharField(max_length=100)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    # Protected: without its person, a batch would run with the rights of the organization.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="On whose behalf. Empty: the organization's own.",
    )
    concurrency = models.PositiveSmallIntegerField(
        "calls at once",
        default=8,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_AT_ONCE)],
    )
    per_second = models.FloatField(
        "calls begun a second",
        null=True,
        blank=True,
        validators=[MinValueValidator(SLOWEST)],
        help_text="At most. Empty: as many as can be.",
    )
    state = models.CharField(max_length=10, choices=BatchState, default=BatchState.WAITING)
    created_at = models.DateTimeField("created", auto_now_add=True)
    started_at = models.DateTimeField("started", null=True, editable=False)
    finished_at = models.DateTimeField("finished", null=True, editable=False)
    # What a program sees of it, and what is known of those that a program has made.
    public_id = models.UUIDField(
        default=new_id, db_default=Func(function="gen_random_uuid"), unique=True, editable=False
    )
    endpoint = models.CharField(
        max_length=30, choices=Endpoint, default=Endpoint.CHAT, db_default=Endpoint.CHAT
    )
    api_key_id = models.BigIntegerField(null=True, editable=False)
    tags = models.JSONField(default=list, db_default=NONE, editable=False)  # of its calls
    metadata = models.JSONField(default=dict, db_default=NOTHING, editable=False)
    errors = models.JSONField(default=list, db_default=NONE, editable=False)  # that its file has
    # Plain values: what is deleted is still known by its id. Of staff's own there are none.
    input_file_id = models.UUIDField(null=True, editable=False)
    output_file_id = models.UUIDField(null=True, editable=False)
    error_file_id = models.UUIDField(null=True, editable=False)
    # What its lines take, and their results; these twice until they are in files of their own.
    bytes = models.BigIntegerField(default=0, db_default=0, editable=False)
    counts = models.JSONField(null=True, editable=False)  # at its end: total, completed, failed
    expires_at = models.DateTimeField("expires", null=True, editable=False)
    finalizing_at = models.DateTimeField(null=True, editable=False)
    cancelling_at = models.DateTimeField(null=True, editable=False)
    # One worker runs a batch: the holder, for as long as it renews this.
    lease_expires_at = models.DateTimeField(null=True, editable=False)
    lease_holder = models.UUIDField(null=True, editable=False)

    objects = BatchQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name_plural = "batches"
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(
                    state__in=["validating", "waiting", "running", "finalizing", "cancelling"]
                ),
                name="batch_at_work",
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(concurrency__gte=1) & (Q(per_second=None) | Q(per_second__gte=SLOWEST)),
                name="batch_has_a_pace",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def can_be_cancelled(self) -> bool:
        return self.state in ASKING

    @property
    def run_name(self) -> str:
        """What the request ids of all its calls begin with."""
        return f"batch-{self.pk}-"


class BatchLine(models.Model):
    """One request of a batch and, once it was asked, its result.

    Both are JSON as text: `jsonb` takes no zero character and no half of one, which a request or an
    answer may well have.
    """

    batch = models.ForeignKey(Batch, models.CASCADE, related_name="lines")
    number = models.PositiveIntegerField()  # in the file
    custom_id = models.CharField(max_length=200)
    body = models.TextField()
    result = models.TextField(null=True)  # a whole line of the file of results
    status_code = models.PositiveSmallIntegerField(null=True)

    class Meta:
        ordering = ["batch", "number"]
        indexes = [models.Index(fields=["batch", "status_code"], name="batch_line_by_status")]
        constraints = [
            models.UniqueConstraint(fields=["batch", "number"], name="batch_line_number_unique"),
            models.UniqueConstraint(fields=["batch", "custom_id"], name="batch_line_id_unique"),
            models.CheckConstraint(
                condition=Q(result=None, status_code=None)
                | Q(result__isnull=False, status_code__isnull=False),
                name="batch_line_result_has_a_status",
            ),
        ]

    def __str__(self) -> str:
        return self.custom_id
