"""How a file is written and which of its columns is which: found out, proposed, said by a person."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

from ingestion.run import Run
from ingestion.source import SourceError
from ingestion.sources.imports import dialect, files, matching, records
from ingestion.sources.imports.models import HeaderMatch, Import
from ingestion.sources.imports.params import Params, saved
from ingestion.sources.imports.records import Layout, Span

LOOKED_AT = 100  # rows, to tell columns by their content


def plan(imported: Import, text: Any, found: files.Found, job: Run) -> bool:
    """Find out how the file is written and where its rows are."""
    size = text.seek(0, 2)
    text.seek(found.skip)
    head = text.read(files.HEAD)
    whole = found.skip + len(head) >= size
    read_as = dialect.recognise(head.decode(errors="strict" if whole else "ignore"), whole, imported.rules)
    parts = records.plan(text, found.skip, size, read_as.layout, read_as.header_row, job.checkpoint)
    if not parts:
        raise SourceError("csv_no_rows", "The file has a header but no rows.")
    imported.facts = {
        "found": asdict(found),
        "layout": asdict(read_as.layout),
        "header_row": read_as.header_row,
    }
    imported.header = read_as.header
    imported.spans = [list(asdict(span).values()) for span in parts]
    imported.save(update_fields=["facts", "header", "spans"])
    sign = read_as.layout.separator
    separator = "tab" if sign == "\t" else f"{sign} ({dialect.NAMES[sign]})"
    job.log(f"Read as {found.encoding.upper()}. Separator: {separator}. {len(read_as.header)} columns.")
    if read_as.header_row > 1:
        job.log(f"The header is row {read_as.header_row}; what is above it was left out.", "warning")
    return True


def propose(imported: Import, text: Any, p: Params) -> bool:
    """Write down what each column may be, from its header and its first cells."""
    first = records.read(text, spans(imported)[0], Layout(**imported.facts["layout"]))
    rows = [record for _, record in islice(first, LOOKED_AT) if isinstance(record, list) and any(record)]
    chosen = matching.parse_choices(p.columns)
    found = matching.propose(imported.header, rows, imported.rules, chosen, saved(imported.made_from))
    imported.proposals = [asdict(one) for one in found]
    imported.save(update_fields=["proposals"])
    return True


def match(imported: Import, said: Mapping[str, str]) -> bool:
    """Recognise the file's columns."""
    found = matching.match(imported.header, imported.rules, said, saved(imported.made_from))
    imported.mapping = [asdict(one) for one in found]
    imported.save(update_fields=["mapping"])
    return True


def take_columns(imported: Import, said: Any) -> dict[str, str]:
    """Return header -> target of the whole file, and remember what was not recognised. Raises SourceError."""
    if not isinstance(said, Mapping) or not all(isinstance(one, str) for one in said.values()):
        raise SourceError("validation_failed", "Send columns as {file column: target column}.")
    wanted = matching.complete(imported.header, imported.rules, imported.proposed, said)
    row = imported.made_from
    known = {one.header: one.target for one in imported.proposed if one.why not in matching.GUESSES}
    news = {
        plain: target
        for header, target in wanted.items()
        if known.get(header, "") != target and (plain := matching.plain(header))
    }
    if row is not None:
        HeaderMatch.objects.bulk_create(
            [HeaderMatch(definition=row, header=header, target=target) for header, target in news.items()],
            update_conflicts=True,
            update_fields=["target"],
            unique_fields=["definition", "header"],
        )
    return wanted


def question(imported: Import) -> str:
    """Return what a person is asked about the columns."""
    sure = {one.target for one in imported.proposed if one.why not in matching.GUESSES}
    lacks = [column.label for column in matching.missing(imported.rules, sure)]
    if not lacks:
        return f"{imported.file_name} has {len(imported.header)} columns. Are they matched well?"
    return f"Which column is {' and which is '.join(lacks)}?"


def spans(imported: Import) -> list[Span]:
    """Return the parts that the file is read and loaded in."""
    return [Span(*values) for values in imported.spans]
