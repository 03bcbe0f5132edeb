"""What is derived from the register: who changed, the units as statistics count them, the cells of reports.

A job of the chain moves rows from one table to the next, each move one transaction: `ChangedImport` ->
`Change` -> `StatisticalUnit` and `CellChange` -> `Cell`. A row that is still there is work still to do.
"""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models.functions import Now

from realtime.streams import Versioned


class ChangedImport(models.Model):
    """An import that has written units which nobody has collected yet; the same one may stand here twice."""

    source = models.ForeignKey("imports.Import", on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"import {self.source_id}"


class Change(models.Model):
    """An identifier whose units have changed.

    collected: the `ChangedImport` it came from; 0: a deleted unit, told by a trigger, or all of the register.
    part: those of one part are derived together.
    """

    pk = models.CompositePrimaryKey("collected", "part", "tax_ident")
    collected = models.BigIntegerField()
    part = models.PositiveIntegerField()
    tax_ident = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.tax_ident


class Words(models.Model):
    """The words of a unit's names, to search by. They follow the register as its statistics do.

    In the register itself such an index takes a third of the time of a load (measured).
    """

    tax_ident = models.CharField(max_length=200, primary_key=True)
    words = SearchVectorField()

    class Meta:
        indexes: ClassVar = [GinIndex(fields=["words"], name="words_of_names")]

    def __str__(self) -> str:
        return self.tax_ident


class StatisticalUnit(models.Model):
    """A unit as statistics count it: at the end of each year from the first to the last.

    Years in which nothing changed are one row. first_year 0: since ever. last_year null: until further
    notice; that row is the unit as it is now. region, activity, size: "" where not known. activity: the
    section, A to U. size: the least number of employees of its class.
    """

    pk = models.CompositePrimaryKey("tax_ident", "first_year")
    tax_ident = models.CharField(max_length=200)
    first_year = models.IntegerField()
    last_year = models.IntegerField(null=True)
    region = models.TextField()
    activity = models.CharField(max_length=1)
    size = models.CharField(max_length=3)
    employees = models.BigIntegerField(null=True)
    turnover = models.DecimalField(max_digits=40, decimal_places=10, null=True)

    def __str__(self) -> str:
        return f"{self.tax_ident} from {self.first_year}"


class _Figures(models.Model):
    """What a cell counts: by how much more than at the end of the year before.

    The figures of a year are the sums of all years until then: a unit that stays changes no further rows.
    """

    dimension = models.CharField(max_length=8)  # of `charts.DIMENSIONS`
    code = models.TextField()
    year = models.IntegerField()
    units = models.BigIntegerField()
    employees = models.DecimalField(max_digits=40, decimal_places=0)
    turnover = models.DecimalField(max_digits=50, decimal_places=10)

    class Meta:
        abstract = True


class CellChange(_Figures):
    """What a part of the changed units adds to a cell; not yet in it."""

    def __str__(self) -> str:
        return f"{self.dimension} {self.code} {self.year}: {self.units:+}"


class Cell(_Figures):
    """A cell of the reports. None is all zero."""

    pk = models.CompositePrimaryKey("dimension", "code", "year")

    def __str__(self) -> str:
        return f"{self.dimension} {self.code} {self.year}"


class Reports(Versioned):
    """One row: the stream `reports`, which moves when the cells do."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    derived_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "reports"
        constraints: ClassVar = [models.CheckConstraint(name="reports_one_row", condition=models.Q(id=1))]

    def __str__(self) -> str:
        return self.stream

    @property
    def stream(self) -> str:
        """Return the name of the stream."""
        return "reports"
