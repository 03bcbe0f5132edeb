"""What the API of companies is asked and answers."""

from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from config.http import RowId
from ingestion.api_requests import PageFilter
from ingestion.sources.companies.search import MAX_QUERY

LARGEST_ID = 2**63 - 1


class CompanyFilter(PageFilter):
    """Which companies: one by its ticker or CIK, or those that a search finds."""

    ticker: str | None = Field(None, max_length=40, description="For example AAPL: that one, or 404")
    cik: str | None = Field(None, max_length=20, description="For example 320193: that one, or 404")
    q: str = Field("", max_length=MAX_QUERY, description="The beginning of a ticker, or words of a name")


class FilingFilter(PageFilter):
    """Which filings of a company."""

    status: Literal["partial", "complete"] | None = None


class TextFilter(PageFilter):
    """What to look for in the text of filings."""

    q: str = Field(min_length=1, max_length=MAX_QUERY, description="Words, “a phrase”, or, -not")
    company: int | None = Field(None, ge=1, le=LARGEST_ID, description="Only in filings of this company")


class FactFilter(PageFilter):
    """Which figures of a company."""

    concept: str | None = Field(None, max_length=300, description="For example us-gaap:Revenues")
    accession: str | None = Field(None, max_length=20, description="Of this filing")


class IngestIn(Schema):
    """Which company to ingest, and which page wants to hear of it. (S1.46)"""

    ticker: str = Field("", max_length=40)
    client_id: RowId | None = None


class StartedOut(Schema):
    """What S1 answers at once."""

    message: str
    task_id: UUID


class YearOut(Schema):
    """How a year's filing ended."""

    year: int
    status: Literal["completed", "failed"]
    error: str | None = None


class TaskOut(Schema):
    """S1's record of an ingestion."""

    task_id: UUID
    company_id: int | None
    ticker: str
    status: Literal["pending", "processing", "completed", "failed"]
    progress: int = Field(ge=0, le=100)
    message: str
    steps_completed: int
    total_steps: int
    filings: list[YearOut]
    error: str | None


class FilingOut(Schema):
    """A filing. amends: the accession number of what it amends; characters: of its text, once it is here."""

    accession_number: str
    form: str
    fiscal_year: int
    filing_date: date
    report_date: date | None
    status: Literal["partial", "complete"]
    amends: str | None
    characters: int | None
    url: str


class FilingsOut(Schema):
    """A page of filings."""

    filings: list[FilingOut]
    next: str | None


class PartOut(Schema):
    """A part of a filing's text; item: empty between sections."""

    ordinal: int
    item: str
    title: str
    characters: int


class FilingTextOut(FilingOut):
    """A filing and what its text consists of."""

    companies: list[int]
    parts: list[PartOut]


class PartTextOut(Schema):
    """The text of a part."""

    accession_number: str
    ordinal: int
    item: str
    title: str
    text: str


class FoundOut(Schema):
    """A part in which words were found; the snippet is plain text."""

    accession_number: str
    form: str
    fiscal_year: int
    ordinal: int
    item: str
    title: str
    snippet: str


class FoundsOut(Schema):
    """A page of parts."""

    found: list[FoundOut]
    next: str | None


class FactOut(Schema):
    """A figure; start is null for one at a time."""

    concept: str
    unit: str
    start: date | None
    end: date
    value: Decimal
    accession_number: str


class FactsOut(Schema):
    """A page of figures."""

    facts: list[FactOut]
    next: str | None


class FormerOut(Schema):
    """A name of before."""

    name: str
    since: date | None
    until: date | None


class CompanyLineOut(Schema):
    """A company in a list. status: ready, partial, or how its open job is displayed."""

    id: int
    cik: int
    name: str
    tickers: list[str]
    status: str
    filings_total: int
    filings_complete: int
    checked_at: datetime | None
    job: UUID | None
    url: str


class CompaniesOut(Schema):
    """A page of companies."""

    companies: list[CompanyLineOut]
    next: str | None


class CompanyOut(CompanyLineOut):
    """A company with its filings, the last filed first (at most 200; `/filings` has all)."""

    entity_type: str
    category: str
    sic: str
    sic_description: str
    fiscal_year_end: str
    ein: str
    state: str
    website: str
    former_tickers: list[str]
    former_names: list[FormerOut]
    facts: int
    filings: list[FilingOut]
