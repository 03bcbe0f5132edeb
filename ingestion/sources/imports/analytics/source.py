"""The three jobs of the chain, on the queue `analytics` (SEEDS S4.5, S4.12)."""

from typing import Any, ClassVar

from django.db import transaction
from pydantic import Field

from config.statements import execute
from ingestion import lifecycle
from ingestion.access import can_operate
from ingestion.models import Job, State
from ingestion.run import Run
from ingestion.source import Outcome, Source, SourceError, SourceParams, Step, register
from ingestion.sources.imports.analytics import cells, chain, units
from ingestion.sources.imports.analytics.models import Change, ChangedImport


class Params(SourceParams):
    """How much to derive."""

    everything: bool = Field(default=False, description="Derive all units anew, not only what changed")


class _Analytics(Source):
    """Work of the system, started by whatever ended before it."""

    params = Params
    offered = False
    shared, unique, limit = True, "{everything}", 1
    queue = "analytics"

    def can_start(self, user: Any, p: Params) -> None:
        """Leave it to the system and to operators. Raises SourceError."""
        if user is not None and not can_operate(user):
            raise SourceError("permission_denied", "Only operators start this.")

    def ended(self, job: Job) -> None:
        """See whether there is more to do. After a failure it waits for the next import, or a person."""
        if job.state == State.COMPLETED:
            chain.follow_up()


@register
class CollectChanges(_Analytics):
    """Write down which identifiers have changed, and bring the other two jobs with it."""

    kind, label = chain.COLLECT, "Collect changes"
    description = "Find what imports have changed in the register."
    steps: ClassVar[list[Step]] = [Step("collect", "Collect what changed")]
    item_noun = "imports"

    def created(self, job: Job, p: Params) -> None:
        """Make the rest of the chain in the same transaction: there is a whole one or none."""
        following = job
        for kind in (chain.UNITS, chain.REPORTS):
            params = {"everything": p.everything}
            following = lifecycle.create(kind, params, owner=job.owner, depends_on=[following]).job

    def run(self, job: Run, p: Params) -> Outcome:
        """Move what imports wrote into the log of changes, import by import."""
        found = 0
        with job.step("collect") as step:
            waiting: list[Any] = list(ChangedImport.objects.order_by("pk").values_list("pk", "source_id"))
            if p.everything:
                waiting.append((0, None))
            for item in step.items(waiting, key=lambda one: one[0], label=_import):
                with item:
                    pk, source = item.value
                    item.result = {"identifiers": _collect(pk, source)}
                    found += item.result["identifiers"]
        return Outcome(text=f"{found:,} identifiers have changed")


def _import(one: tuple[int, int | None]) -> str:
    return f"Import {one[1]}" if one[1] else "The whole register"


def _collect(pk: int, source: int | None) -> int:
    """Log the identifiers of an import, or all, in parts that are derived together."""
    where, values = ("loaded_by_id = %s", [source]) if source else ("true", [])
    ((rows,),) = execute(f"SELECT count(*) FROM imports_unit WHERE {where}", values)  # nosec B608
    parts = -(-rows // units.PER_PART) or 1
    # Only what is collected under 0 may stand there already, and looking costs as much as writing.
    known = "" if source else "ON CONFLICT DO NOTHING"
    old = "" if source else "UNION SELECT tax_ident FROM analytics_statisticalunit"
    execute(
        f"INSERT INTO analytics_change (collected, part, tax_ident)"  # nosec B608  # words of ours
        f" SELECT %s, (hashtext(tax_ident) & 2147483647) %% %s, tax_ident FROM ("
        f"SELECT tax_ident FROM imports_unit WHERE {where} {old}) AS found"
        f" GROUP BY tax_ident {known}",
        [pk, parts, *values],
    )
    ChangedImport.objects.filter(pk=pk).delete()
    return int(rows)


@register
class DeriveUnits(_Analytics):
    """Derive the statistical units of the changed identifiers, part by part."""

    kind, label = chain.UNITS, "Derive statistical units"
    description = "Bring statistical units up to date with the register."
    steps: ClassVar[list[Step]] = [Step("units", "Derive units")]
    item_noun = "parts"

    def run(self, job: Run, p: Params) -> Outcome:
        """Derive every part of the log; what is derived leaves the log in the same transaction."""
        done = 0
        with job.step("units") as step:
            parts = list(Change.objects.values_list("collected", "part").distinct())
            for item in step.items(sorted(parts), key=lambda one: f"{one[0]}-{one[1]}", label=_part):
                with item:
                    item.result = {"identifiers": units.derive(*item.value)}
                    done += item.result["identifiers"]
        return Outcome(text=f"{done:,} identifiers derived")


def _part(one: tuple[int, int]) -> str:
    return f"Part {one[1] + 1:,}"


@register
class DeriveReports(_Analytics):
    """Bring the cells of the reports up to date, and tell those who look at the charts."""

    kind, label = chain.REPORTS, "Derive reports"
    description = "Bring the figures of the charts up to date."
    steps: ClassVar[list[Step]] = [Step("cells", "Add up the cells")]
    item_noun = "cells"

    def run(self, job: Run, p: Params) -> Outcome:
        """Settle what the units changed: cells, and the version of the page, in one transaction."""
        with job.step("cells") as step:
            for item in step.items(["cells"], key=str, label=lambda _: "All cells"):
                with item:
                    moved = None if p.everything else cells.settle()
                    if p.everything:
                        cells.make_anew()
                    if moved != 0:
                        job.changed(cells.row())
        return Outcome(text="The figures are up to date")


def run_chain() -> None:
    """Do here and now, without jobs, what a chain does. For shells and tests."""
    with transaction.atomic():
        for pk, source in ChangedImport.objects.values_list("pk", "source_id"):
            _collect(pk, source)
        for collected, part in list(Change.objects.values_list("collected", "part").distinct()):
            units.derive(collected, part)
        if cells.settle():
            cells.row()
