"""What was spent, asked and answered: sums of the usage records, and pages made of them."""

from billing.reports.checking import differences

__all__ = ["differences"]
