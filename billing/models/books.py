"""What looking the books over has found."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class BookCheck(models.Model):
    """One look at all books: every night, and whenever somebody asks for it."""

    # The night it was made for, so that several workers make one; None: somebody asked for it.
    night = models.DateField(null=True, unique=True)
    started_at = models.DateTimeField()
    duration_ms = models.IntegerField("duration, ms")
    difference_count = models.IntegerField("differences")
    lines = ArrayField(models.TextField(), default=list)  # the first of the differences, in words

    class Meta:
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.difference_count} differences at {self.started_at:%Y-%m-%d %H:%M}"
