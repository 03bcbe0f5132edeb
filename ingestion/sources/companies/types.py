"""What people are told about companies that they follow."""

from notifications import types
from notifications.models import Level

NEW_FILINGS = "companies.new_filings"

types.declare(
    NEW_FILINGS,
    "New filings of companies that you follow",
    level=Level.INFO,
    group="Companies",
    many="{n} companies have new filings",
)
