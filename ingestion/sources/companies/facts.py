"""The figures of a company's reports, out of all that it ever reported."""

import json
from collections.abc import Collection, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from config.statements import execute
from ingestion.sources.companies.models import Company
from ingestion.sources.companies.submissions import broken

MOST = Decimal(10) ** 38  # more is no figure of a company
_INSERT = """
    INSERT INTO companies_fact (company_id, concept, unit, start, "end", value, accession)
    SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::date[], %s::date[], %s::numeric[], %s::text[])
    ON CONFLICT DO NOTHING
"""
Figure = tuple[str, str, date | None, date, Decimal, str]


def parse(content: bytes, accessions: Collection[str]) -> list[Figure]:
    """Return (concept, unit, start, end, value, accession) of what these filings say.

    Raises SourceError for what is no such data.
    """
    try:
        data = json.loads(content, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, ArithmeticError) as error:
        raise broken() from error
    if not isinstance(data, dict) or not isinstance(data.get("facts", {}), dict):
        raise broken()
    wanted = set(accessions)
    return [
        figure
        for concept, unit, entry in _entries(data.get("facts", {}))
        if entry.get("accn") in wanted and (figure := _figure(concept, unit, entry)) is not None
    ]


def replace(company: Company, accessions: Collection[str], figures: Collection[Figure]) -> None:
    """Write what these filings say, in place of what was written before."""
    company.facts.filter(accession__in=accessions).delete()
    columns = [list(column) for column in zip(*figures, strict=True)] or [[]] * 6
    execute(_INSERT, [company.pk, *columns])


def _entries(facts: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for taxonomy, concepts in facts.items():
        for name, concept in _items(concepts):
            for unit, entries in _items(concept.get("units") if isinstance(concept, dict) else None):
                for entry in entries if isinstance(entries, list) else []:
                    if isinstance(entry, dict):
                        yield f"{taxonomy}:{name}"[:300], str(unit)[:100], entry


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    yield from value.items() if isinstance(value, dict) else ()


def _figure(concept: str, unit: str, entry: dict[str, Any]) -> Figure | None:
    value = entry.get("val")
    if not isinstance(value, Decimal) or not abs(value) < MOST:
        return None
    try:
        start = date.fromisoformat(entry["start"]) if entry.get("start") else None
        return concept, unit, start, date.fromisoformat(entry["end"]), value, entry["accn"]
    except (KeyError, TypeError, ValueError):
        return None
