"""Definitions as the admin edits them: target columns, code lists, and what headers were matched before."""

from collections.abc import Iterable
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from ingestion.sources.imports import values
from ingestion.sources.imports.definition import ENUM, TYPES, Column, Definition, Mode, Validity


def empty_words() -> list[str]:
    """Return what a new definition reads as nothing."""
    return list(values.EMPTY)


class CodeList(models.Model):
    """Codes that a column may hold."""

    name = models.CharField(max_length=100, unique=True)

    def __str__(self) -> str:
        return self.name


class Code(models.Model):
    """A code and what it means."""

    codes = models.ForeignKey(CodeList, on_delete=models.CASCADE, related_name="codes")
    code = models.CharField(max_length=200)
    label = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(name="code_once_a_list", fields=["codes", "code"])]

    def __str__(self) -> str:
        return self.code


class ImportDefinition(models.Model):
    """What files of a kind are matched against. Imports keep a copy: an edit never changes a running one."""

    slug = models.SlugField(max_length=50, unique=True, help_text="what people and programs name it by")
    name = models.CharField(max_length=100, unique=True)
    mode = models.CharField(
        max_length=20,
        choices=[(one.value, one.value.replace("_", " ").capitalize()) for one in Mode],
        default=Mode.INSERT_OR_UPDATE.value,
        help_text="what a row does to the unit of its identifier and valid_from",
    )
    validity = models.CharField(
        max_length=20,
        choices=[(Validity.COLUMNS.value, "Columns of the file"), (Validity.JOB.value, "The job")],
        default=Validity.COLUMNS.value,
        help_text="where the period of a row comes from",
    )
    empty = ArrayField(
        models.CharField(max_length=50),
        default=empty_words,
        blank=True,
        size=50,
        help_text="read as nothing besides a blank cell, in any case; separated by commas",
    )

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="definition_has_a_mode", condition=models.Q(mode__in=[one.value for one in Mode])
            ),
            models.CheckConstraint(
                name="definition_has_a_validity",
                condition=models.Q(validity__in=[one.value for one in Validity]),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def snapshot(self, columns: "Iterable[TargetColumn] | None" = None) -> Definition:
        """Return the definition as an import keeps it. columns: its own, where they are not stored yet."""
        if columns is None:
            columns = self.columns.select_related("codes").prefetch_related("codes__codes")
        return Definition(
            slug=self.slug,
            name=self.name,
            mode=self.mode,
            validity=self.validity,
            empty=tuple(text.lower() for text in self.empty),
            columns=tuple(column.snapshot() for column in columns),
        )


class TargetColumn(models.Model):
    """A column of a definition."""

    definition = models.ForeignKey(ImportDefinition, on_delete=models.CASCADE, related_name="columns")
    position = models.PositiveSmallIntegerField(default=0)
    name = models.CharField(max_length=100)  # a field of `Unit`
    label = models.CharField(max_length=200)
    type = models.CharField(max_length=20, choices=[(one, one.replace("_", " ")) for one in TYPES])
    codes = models.ForeignKey(
        CodeList, null=True, blank=True, on_delete=models.PROTECT, related_name="+", verbose_name="code list"
    )
    required = models.BooleanField(default=False)
    unique = models.BooleanField(default=False, help_text="no two units share a value")
    default = models.CharField(max_length=500, blank=True, default="", help_text="what an empty cell means")
    longest = models.PositiveIntegerField(default=500, help_text="characters")
    least = models.FloatField(null=True, blank=True)
    most = models.FloatField(null=True, blank=True)
    synonyms = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        size=100,
        help_text="other headers that mean it; separated by commas",
    )

    class Meta:
        ordering: ClassVar = ["position", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(name="target_once_a_definition", fields=["definition", "name"]),
            models.CheckConstraint(
                name="target_has_codes_as_enum",
                condition=models.Q(type=ENUM, codes__isnull=False)
                | models.Q(~models.Q(type=ENUM), codes__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def snapshot(self) -> Column:
        """Return the column as an import keeps it."""
        return Column(
            name=self.name,
            label=self.label,
            type=self.type,
            required=self.required,
            unique=self.unique,
            default=self.default,
            codes={} if self.codes is None else {one.code: one.label for one in self.codes.codes.all()},
            synonyms=tuple(self.synonyms),
            longest=self.longest,
            least=self.least,
            most=self.most,
        )


class HeaderMatch(models.Model):
    """What a person said that a header means. An empty target: none of the columns."""

    definition = models.ForeignKey(ImportDefinition, on_delete=models.CASCADE, related_name="matches")
    header = models.CharField(max_length=500)  # as `matching.plain` writes it
    target = models.CharField(max_length=100, blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="header_matched_once", fields=["definition", "header"])
        ]

    def __str__(self) -> str:
        return f"{self.header} = {self.target}"
