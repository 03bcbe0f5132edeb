"""What an import reads, finds and writes: the import, its staged rows, and the units of the register."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse

from ingestion.access import can_view_all
from ingestion.models import Job, Upload
from ingestion.sources.imports.definition import Definition
from ingestion.sources.imports.definition_models import (
    Code,
    CodeList,
    HeaderMatch,
    ImportDefinition,
    TargetColumn,
)
from ingestion.sources.imports.matching import Match, Proposal
from ingestion.sources.imports.rowtext import CellsField

__all__ = [
    "Code",
    "CodeList",
    "HeaderMatch",
    "Import",
    "ImportDefinition",
    "ImportRow",
    "NotedRow",
    "StagedSpan",
    "TargetColumn",
    "Unit",
]


class ImportQuerySet(models.QuerySet["Import"]):
    def visible_to(self, user: Any) -> "ImportQuerySet":
        """Keep the imports whose file and rows this user may see: own ones, and all for reviewers."""
        if user.is_active and (user.has_perm("imports.review") or can_view_all(user)):
            return self
        return self.filter(owner=user)


class Import(models.Model):
    """A file on its way into the register. A retry of its job goes on with the same import."""

    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="imports")
    upload = models.ForeignKey(Upload, null=True, on_delete=models.SET_NULL, related_name="+")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    slug = models.SlugField(max_length=100, unique=True)
    # Of the file, empty until it is there.
    file_name = models.CharField(max_length=255, blank=True, default="")
    file_size = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    definition = models.JSONField()  # a copy: later edits do not change a running import
    made_from = models.ForeignKey(  # what it was copied from
        ImportDefinition, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    # The period of every row, where the definition takes it from the job.
    valid_from = models.DateField(null=True)
    valid_to = models.DateField(null=True)
    facts = models.JSONField(default=dict)  # {encoding, kind, packed, skip, separator, padded, header_row}
    header = models.JSONField(default=list)  # the file's columns, trimmed
    proposals = models.JSONField(default=list)  # what each column may be, see `matching.Proposal`
    mapping = models.JSONField(default=list)  # [{index, header, target, why}], see `matching.Match`
    spans = models.JSONField(default=list)  # [[start, end, row, line, rows, long]], see `records.Span`

    # Null until checked.
    rows_total = models.PositiveIntegerField(null=True)  # without blank ones
    rows_bad = models.PositiveIntegerField(null=True)
    rows_doubtful = models.PositiveIntegerField(null=True)  # good, with a warning
    rows_new = models.PositiveIntegerField(null=True)  # good, of units that are not in the register
    problems = models.JSONField(default=list)  # causes, see `preview.causes`
    decisions = models.JSONField(default=dict)  # {key of a cause: {choice, value, by, at}}
    revision = models.PositiveIntegerField(default=0)  # how often something was decided
    # Null until loaded.
    created = models.PositiveIntegerField(null=True)
    updated = models.PositiveIntegerField(null=True)

    forgotten_at = models.DateTimeField(null=True)  # since when its rows are deleted, see `keeping`

    # finished, failed or rejected; the job may be deleted later.
    ended_as = models.CharField(max_length=20, blank=True, default="")

    objects = ImportQuerySet.as_manager()

    class Meta:
        permissions: ClassVar = [("review", "Can see and decide everybody's imports")]
        indexes: ClassVar = [
            # keeping.forget
            models.Index(
                name="import_forgotten", fields=["id"], condition=models.Q(forgotten_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.file_name or self.slug

    def get_absolute_url(self) -> str:
        """Return the path of the import's page."""
        return reverse("imports:import", args=[self.pk])

    @property
    def stream(self) -> str:
        """Return the name under which jobs say that they are about this import."""
        return f"import:{self.pk}"

    @property
    def rules(self) -> Definition:
        """Return the definition this import was started with."""
        return Definition.from_json(self.definition)

    @property
    def matches(self) -> list[Match]:
        """Return which column is which."""
        return [Match(**one) for one in self.mapping]

    @property
    def proposed(self) -> list[Proposal]:
        """Return what each column of the file may be."""
        return [Proposal(**one) for one in self.proposals]

    @property
    def rows_good(self) -> int:
        """Return how many rows can be loaded."""
        return (self.rows_total or 0) - (self.rows_bad or 0)

    @property
    def rows_left_out(self) -> int:
        """Return how many rows are not loaded: bad ones, and, once it was loaded, whatever else was not."""
        if self.created is None:
            return self.rows_bad or 0
        return (self.rows_total or 0) - self.created - (self.updated or 0)

    @property
    def is_loaded_whole(self) -> bool:
        """Return whether every good row was loaded."""
        return self.created is not None and self.rows_left_out == (self.rows_bad or 0)

    @property
    def rows_known(self) -> int:
        """Return how many good rows are of units that the register has."""
        return self.rows_good - (self.rows_new or 0)


class StagedSpan(models.Model):
    """The rows of a span of a file, a line each, cells cut as `rowtext` says.

    A line is empty where its row is blank, or one of `NotedRow`. first: number of the first row. rows: how
    many lines. total: rows that are not blank. low, high: of its identifiers, where these ascend as their
    characters do, else null; empty where no row has one.
    """

    pk = models.CompositePrimaryKey("parent_id", "first")
    # No constraint, as with units.
    parent = models.ForeignKey(
        Import,
        on_delete=models.CASCADE,
        related_name="staged",
        db_constraint=False,
        db_index=False,
        db_column="import_id",
    )
    first = models.PositiveIntegerField()
    rows = models.PositiveIntegerField()
    lines = models.TextField()  # stored as it is: packing takes longer than writing
    total = models.PositiveIntegerField()
    low = models.TextField(null=True, db_collation="C")  # noqa: DJ001
    high = models.TextField(null=True, db_collation="C")  # noqa: DJ001

    def __str__(self) -> str:
        return f"rows from {self.first}"


class _Row(models.Model):
    """A row of a file as it stands there, with what is wrong with it.

    number: as a spreadsheet shows it, the header counted. cells: the texts, in the file's order. fixed: cells
    that mean another text than they show, {place: text or null}. errors, warnings: {source column: {code,
    text}}; the column "" is the whole row. settled: what decisions took away, see `staged_decisions`.
    """

    number = models.PositiveIntegerField()
    cells = CellsField()
    fixed = models.JSONField(null=True)
    errors = models.JSONField(null=True)
    warnings = models.JSONField(null=True)
    settled = models.JSONField(null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"row {self.number}"


class NotedRow(_Row):
    """A row of which something is said besides its cells, or one that cannot be kept as a line."""

    pk = models.CompositePrimaryKey("parent_id", "number")
    parent = models.ForeignKey(
        Import,
        on_delete=models.CASCADE,
        related_name="noted",
        db_constraint=False,
        db_index=False,
        db_column="import_id",
    )

    class Meta:
        indexes: ClassVar = [
            # the review page: rows with errors, rows with warnings, in order
            models.Index(
                name="notedrow_bad", fields=["parent", "number"], condition=models.Q(errors__isnull=False)
            ),
            models.Index(
                name="notedrow_doubtful",
                fields=["parent", "number"],
                condition=models.Q(warnings__isnull=False),
            ),
            # decisions that are taken back
            models.Index(
                name="notedrow_settled",
                fields=["parent", "number"],
                condition=models.Q(settled__isnull=False),
            ),
        ]


class ImportRow(_Row):
    """Any row of a file: a view of both. span: `StagedSpan.first`, null of a row that is noted.

    Who knows in which spans the wanted rows are says so (`staged.near`), or all of a file is unpacked.
    """

    pk = models.CompositePrimaryKey("parent_id", "number")
    parent = models.ForeignKey(
        Import,
        on_delete=models.DO_NOTHING,
        related_name="rows",
        db_constraint=False,
        db_index=False,
        db_column="import_id",
    )
    span = models.PositiveIntegerField(null=True)

    class Meta:
        managed = False
        db_table = "imports_importrow"


class Unit(models.Model):
    """A business unit during a period. Periods of one identifier never overlap.

    valid_from null: since ever. valid_to null: until further notice. id: a number that no other has, and by
    which none is found: in the database it is neither key nor index, a quarter of the work of a load.
    """

    tax_ident = models.CharField(max_length=200)
    stat_ident = models.CharField(max_length=200, blank=True, default="", db_default="")
    name = models.CharField(max_length=500)
    birth_date = models.DateField(null=True)
    death_date = models.DateField(null=True)
    valid_from = models.DateField(null=True)
    valid_to = models.DateField(null=True)
    physical_address_part1 = models.TextField(blank=True, default="", db_default="")
    physical_address_part2 = models.TextField(blank=True, default="", db_default="")
    physical_address_part3 = models.TextField(blank=True, default="", db_default="")
    physical_postcode = models.TextField(blank=True, default="", db_default="")
    physical_postplace = models.TextField(blank=True, default="", db_default="")
    physical_region_code = models.TextField(blank=True, default="", db_default="")
    physical_country_iso_2 = models.TextField(blank=True, default="", db_default="")
    postal_address_part1 = models.TextField(blank=True, default="", db_default="")
    postal_address_part2 = models.TextField(blank=True, default="", db_default="")
    postal_address_part3 = models.TextField(blank=True, default="", db_default="")
    postal_postcode = models.TextField(blank=True, default="", db_default="")
    postal_postplace = models.TextField(blank=True, default="", db_default="")
    postal_region_code = models.TextField(blank=True, default="", db_default="")
    postal_country_iso_2 = models.TextField(blank=True, default="", db_default="")
    primary_activity_category_code = models.TextField(blank=True, default="", db_default="")
    secondary_activity_category_code = models.TextField(blank=True, default="", db_default="")
    legal_form_code = models.TextField(blank=True, default="", db_default="")
    sector_code = models.TextField(blank=True, default="", db_default="")
    employees = models.BigIntegerField(null=True)
    turnover = models.DecimalField(max_digits=40, decimal_places=10, null=True)
    physical_latitude = models.DecimalField(max_digits=20, decimal_places=12, null=True)
    physical_longitude = models.DecimalField(max_digits=20, decimal_places=12, null=True)
    web_address = models.TextField(blank=True, default="", db_default="")
    email_address = models.TextField(blank=True, default="", db_default="")
    phone_number = models.TextField(blank=True, default="", db_default="")
    extra = models.JSONField(  # columns of the file that the definition does not know
        default=dict, db_default=models.Value({}, models.JSONField())
    )
    # No constraint: a load would look up its own import for each of a million rows, a third of its time.
    loaded_by = models.ForeignKey(
        Import,
        null=True,
        on_delete=models.SET_NULL,
        related_name="units",
        db_constraint=False,
        db_index=False,
    )
    loaded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            # insert or update; two imports at once
            models.UniqueConstraint(
                name="unit_once_a_period", fields=["tax_ident", "valid_from"], nulls_distinct=False
            ),
            models.CheckConstraint(
                name="unit_period_runs_forward",
                condition=models.Q(valid_from__isnull=True)
                | models.Q(valid_to__isnull=True)
                | models.Q(valid_to__gte=models.F("valid_from")),
            ),
        ]
        indexes: ClassVar = [
            # the search; by words of the name it goes through `analytics.Words`
            # what an import has written: rows that lie together; a B-tree takes four times as long to write
            BrinIndex(name="unit_loaded_by", fields=["loaded_by"], autosummarize=True, pages_per_range=32),
            models.Index(name="unit_stat_ident", fields=["stat_ident"], condition=~models.Q(stat_ident="")),
        ]

    def __str__(self) -> str:
        return self.name
