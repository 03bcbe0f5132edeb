"""Companies, their tickers, the annual reports they filed, the text of these, and the figures in them."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse

from realtime.streams import Versioned

LARGEST_CIK = 9_999_999_999  # ten digits


class Company(Versioned):
    """A filer at the SEC, found by its CIK."""

    cik = models.PositiveBigIntegerField(unique=True)
    name = models.CharField(max_length=300)
    entity_type = models.CharField(max_length=50, blank=True, default="")
    category = models.CharField(max_length=200, blank=True, default="")
    sic = models.CharField(max_length=4, blank=True, default="")
    sic_description = models.CharField(max_length=200, blank=True, default="")
    # MMDD, not a date: 0229 is none in most years, and the day moves in years of 52 and 53 weeks.
    fiscal_year_end = models.CharField(max_length=4, blank=True, default="")
    # Not unique: foreign filers all carry 000000000.
    ein = models.CharField(max_length=20, blank=True, default="")
    state = models.CharField(max_length=20, blank=True, default="")  # of incorporation
    website = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    checked_at = models.DateTimeField(null=True)  # when its list of filings was last read
    taken_by = models.UUIDField(null=True)  # the job that ingests it, or did last: of two only one may

    class Meta:
        verbose_name_plural = "companies"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="company_cik_has_ten_digits", condition=Q(cik__gt=0, cik__lte=LARGEST_CIK)
            ),
            models.CheckConstraint(
                name="company_fiscal_year_end_is_mmdd",
                condition=Q(fiscal_year_end="") | Q(fiscal_year_end__regex=r"^(0[1-9]|1[0-2])[0-3][0-9]$"),
            ),
        ]
        indexes: ClassVar = [
            # search by words of the name
            GinIndex(SearchVector("name", config="simple"), name="company_by_name"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the path of the company's page."""
        return reverse("companies:company", args=[self.pk])

    @property
    def stream(self) -> str:
        """Return the name of the company's stream."""
        return f"company:{self.pk}"

    @property
    def place(self) -> int:
        """Return where its stream stands: what changed in it, and how often its jobs came or ended."""
        return self.version + sum(Turns.objects.filter(company=self).values_list("number", flat=True))

    @classmethod
    def moved(cls, pk: Any) -> int:
        """Add one to the version; return where the stream stands then."""
        super().moved(pk)
        return cls.objects.get(pk=pk).place


class Turns(models.Model):
    """How often a job of a company came or ended.

    In a row of its own: an end holds its job's row and writes this one, an item locks the company before its
    job's row; in one row together they could wait for each other.
    """

    company = models.OneToOneField(Company, on_delete=models.CASCADE, primary_key=True)
    number = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)


class Subscriber(Versioned):
    """A page of somebody's, under the id that it gave itself, and the ingestion it is told of. (S1.14)"""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    client = models.UUIDField()
    job = models.UUIDField()  # jobs are deleted without asking who was told of them

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="subscriber_once", fields=["user", "client"]),
        ]

    def __str__(self) -> str:
        return str(self.client)


class FormerName(models.Model):
    """What a company was called before. The SEC's periods may overlap."""

    company = models.ForeignKey(Company, on_delete=models.CASCADE, related_name="former_names")
    name = models.CharField(max_length=300)
    since = models.DateField(null=True)
    until = models.DateField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="former_name_once", fields=["company", "name", "since"], nulls_distinct=False
            ),
        ]
        indexes: ClassVar = [
            # search by words of a former name
            GinIndex(SearchVector("name", config="simple"), name="former_name_by_words"),
        ]

    def __str__(self) -> str:
        return self.name


class Ticker(models.Model):
    """A ticker and whose it is, of companies that were ingested and of all others that the SEC lists.

    The SEC's list and a filer's own data disagree at times; what neither names any more is a former ticker.
    """

    symbol = models.CharField(max_length=20)  # upper case, class shares with a dash: BRK-B
    cik = models.PositiveBigIntegerField()
    name = models.CharField(max_length=300, blank=True, default="")  # as the list has it
    exchange = models.CharField(max_length=50, blank=True, default="")
    rank = models.PositiveIntegerField(null=True)  # place in the list, which is ordered by size
    listed = models.BooleanField(default=False)  # in the SEC's list
    reported = models.BooleanField(default=False)  # in the filer's own data

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="ticker_once_a_company", fields=["symbol", "cik"]),
        ]
        indexes: ClassVar = [
            # the tickers of a company
            models.Index(name="ticker_of_company", fields=["cik"]),
            # search as one types
            models.Index(name="ticker_begins_with", fields=["symbol"], opclasses=["varchar_pattern_ops"]),
            GinIndex(SearchVector("name", config="simple"), name="ticker_by_name"),
        ]

    def __str__(self) -> str:
        return self.symbol

    @property
    def is_former(self) -> bool:
        """Say whether nobody names it any more."""
        return not (self.listed or self.reported)


class Listing(models.Model):
    """A list that was read whole, and by what the other side recognises our copy."""

    url = models.CharField(max_length=300, unique=True)
    etag = models.CharField(max_length=200, blank=True, default="")
    modified = models.CharField(max_length=100, blank=True, default="")
    read_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.url


class Filing(models.Model):
    """An annual report or an amendment of one. Partial: known, its text is not here yet."""

    class Status(models.TextChoices):
        PARTIAL = "partial"
        COMPLETE = "complete"

    # Several companies may file one report together, a holding and its subsidiaries for example.
    companies = models.ManyToManyField(Company, related_name="filings")
    accession = models.CharField(max_length=20, unique=True)
    form = models.CharField(max_length=20)
    filing_date = models.DateField()
    report_date = models.DateField(null=True)  # end of the period; not known of every old filing
    fiscal_year = models.PositiveSmallIntegerField()
    amends = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="amendments")
    primary_document = models.CharField(max_length=300, blank=True, default="")  # before 2001 there is none
    description = models.CharField(max_length=300, blank=True, default="")
    status = models.CharField(max_length=8, choices=Status, default=Status.PARTIAL)
    url = models.CharField(max_length=500, blank=True, default="")  # of the document that was read
    characters = models.PositiveIntegerField(null=True)  # of its text
    completed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="filing_accession_is_one",
                condition=Q(accession__regex=r"^[0-9]{10}-[0-9]{2}-[0-9]{6}$"),
            ),
            models.CheckConstraint(
                name="filing_completed_iff_complete",
                condition=Q(status="partial", completed_at=None)
                | Q(status="complete", completed_at__isnull=False),
            ),
            models.CheckConstraint(
                name="filing_amends_another", condition=Q(amends=None) | ~Q(amends=F("id"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.form} {self.accession}"

    def get_absolute_url(self) -> str:
        """Return the path of the filing's text."""
        return reverse("companies:filing", args=[self.accession])


class Words(models.GeneratedField):
    """The words of a text as PostgreSQL looks for them; nothing that is inserted brings them back."""

    db_returning = False  # type: ignore[assignment]  # Django itself goes by the value


class PassageManager(models.Manager["Passage"]):
    """Passages without their words, which only PostgreSQL reads."""

    def get_queryset(self) -> models.QuerySet["Passage"]:
        """Leave the words where they are."""
        return super().get_queryset().defer("words")


class Passage(models.Model):
    """A part of a filing's text, in its order: a section where one was found, else what is between."""

    filing = models.ForeignKey(Filing, on_delete=models.CASCADE, related_name="passages")
    ordinal = models.PositiveSmallIntegerField()
    item = models.CharField(max_length=5, blank=True, default="")  # 1A of "Item 1A. Risk Factors"
    title = models.CharField(max_length=300, blank=True, default="")
    text = models.TextField()
    digest = models.CharField(max_length=64)  # SHA-256 of the text
    # Stored: a phrase is looked for in the words of each candidate, and making them takes long.
    words = Words(
        expression=SearchVector("text", config="english"), output_field=SearchVectorField(), db_persist=True
    )

    objects = PassageManager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="passage_once", fields=["filing", "ordinal"]),
        ]
        indexes: ClassVar = [
            # search in the text of filings
            GinIndex(fields=["words"], name="passage_by_words"),
        ]

    def __str__(self) -> str:
        return self.title or f"part {self.ordinal}"


class Fact(models.Model):
    """A figure that a company reported: a concept in a unit, at a time or over one, and in which filing."""

    company = models.ForeignKey(Company, on_delete=models.CASCADE, related_name="facts", db_index=False)
    concept = models.CharField(max_length=300)  # with its taxonomy: us-gaap:Revenues
    unit = models.CharField(max_length=100)
    start = models.DateField(null=True)  # null: at a time
    end = models.DateField()
    value = models.DecimalField(max_digits=60, decimal_places=20)
    accession = models.CharField(max_length=20)

    class Meta:
        constraints: ClassVar = [
            # and the figures of a concept over the years
            models.UniqueConstraint(
                name="fact_once",
                fields=["company", "concept", "unit", "end", "start", "accession"],
                nulls_distinct=False,
            ),
        ]
        indexes: ClassVar = [
            # what a filing says, replaced when it is read anew
            models.Index(name="fact_of_filing", fields=["company", "accession"]),
        ]

    def __str__(self) -> str:
        return f"{self.concept} {self.end}"
