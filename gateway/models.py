"""Batches: files of requests that the worker asks, line by line."""

from typing import Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Count, Exists, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import Membership, Organization

MOST_AT_ONCE = 100
SLOWEST = 0.001  # calls a second: one in about a quarter of an hour
OK = 200


class BatchState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    CANCELLED = "cancelled", "Cancelled"


UNFINISHED = (BatchState.WAITING, BatchState.RUNNING)


class BatchQuerySet(models.QuerySet["Batch"]):
    def unfinished(self) -> Self:
        return self.filter(state__in=UNFINISHED)

    def free(self) -> Self:
        """Those that no worker holds: nobody has begun, or who began has died."""
        return self.filter(Q(lease_expires_at=None) | Q(lease_expires_at__lt=timezone.now()))

    def paid_for(self) -> Self:
        """Those whose organization, and person if there is one, may still make calls."""
        is_member = Membership.objects.filter(
            user=OuterRef("user"), organization=OuterRef("organization")
        )
        return self.filter(organization__is_active=True).filter(
            Q(user=None) | Q(Exists(is_member), user__is_active=True)
        )

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
                condition=Q(state__in=["waiting", "running"]),
                name="batch_unfinished",
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
    def is_unfinished(self) -> bool:
        return self.state in UNFINISHED

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
