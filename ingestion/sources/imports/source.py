"""Import a business register from a CSV file: read, match the columns, check the rows, ask, load."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from itertools import count
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.urls import reverse

from ingestion.access import who_hold
from ingestion.admission import Refused
from ingestion.answers import name_of
from ingestion.file_types import CSV, GZIP, TEXT, XLSX
from ingestion.models import OPEN, ItemState, Job, JobItem, Upload
from ingestion.run import Run
from ingestion.source import Outcome, Source, SourceError, Step, register
from ingestion.sources.imports import (
    approval,
    arrivals,
    dates,
    decisions,
    files,
    loading,
    matching,
    preview,
    recognition,
    staging,
    status,
    together,
)
from ingestion.sources.imports.analytics import chain
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.models import Import, ImportDefinition
from ingestion.sources.imports.params import Params, definition_of, row_of, saved
from ingestion.sources.imports.records import Layout, Span
from ingestion.steps import StepHandle
from ingestion.uploads import open_upload

LOADERS = 2  # sessions that write spans at once: the register's indexes keep a core of the database busy
MAX_OFFERED = 200  # definitions in the start form


@register
class Imports(Source):
    """Rows of a file become units of the register."""

    kind, label, params = "imports", "Import a register", Params
    description = "Load business units from a CSV file: recognised, checked, reviewed, then written."
    steps: ClassVar[list[Step]] = [
        Step("read", "Read the file", 10),
        Step("match", "Match columns", 1),
        Step("check", "Check rows", 45),
        Step("load", "Load rows", 44),
    ]
    item_noun = "batches"
    page, page_label = "imports:list", "Imports"
    example: ClassVar[dict[str, Any]] = {"file": "tax_ident,name\n1,a\n2,b\n3,c\n"}
    file_types, file_noun = frozenset({CSV, TEXT, GZIP, XLSX}), "CSV"

    def run(self, job: Run, p: Params) -> Outcome:
        """Bring the file's good rows into the register."""
        imported = Import.objects.select_related("upload").get(job=job.id)
        if imported.upload is None and not imported.facts:
            job.wait_for("upload", arrivals.QUESTION)
            imported.refresh_from_db()
        if imported.rows_total is None:
            self.read_and_check(job, imported, p)
        for name in ("read", "match", "check"):
            if job.steps[name].state != "completed":  # its worker died just before it said so
                with job.step(name):
                    pass
        if p.review == "always" or (p.review == "auto" and imported.rows_bad):
            self.ask_for_approval(job, imported)
        with job.step("load", f"Loading {imported.rows_good:,} rows") as step:
            self.load(step, imported)
        return _outcome(job, imported)

    def read_and_check(self, job: Run, imported: Import, p: Params) -> None:
        """Stage every row of the file with what is wrong in it."""
        upload = imported.upload
        if upload is None:
            raise SourceError("file_gone", "The file is no longer kept. Upload it again.")
        known = files.Found(**imported.facts["found"]) if imported.facts else None
        with (
            open_upload(upload) as stored,
            files.opened(stored, upload.name, known, job.checkpoint) as (text, found),
        ):
            with job.step("read", f"Reading {upload.name}"):
                job.once("plan", lambda: recognition.plan(imported, text, found, job))
            with job.step("match"):
                job.once("proposed", lambda: recognition.propose(imported, text, p))
                said = self.ask_for_columns(job, imported, p)
                job.once("matches", lambda: recognition.match(imported, said))
            with job.step("check", "Checking rows") as step:
                self.check(job, step, imported, text)

    def ask_for_columns(self, job: Run, imported: Import, p: Params) -> dict[str, str]:
        """Return header -> target as people said it; wait for one where the header is not clear."""
        doubtful = matching.is_doubtful(imported.rules, imported.proposed)
        if p.match == "always" or (p.match == "auto" and doubtful):
            return dict(job.wait_for("match", recognition.question(imported))["data"]["columns"])
        return matching.parse_choices(p.columns)

    def ask_for_approval(self, job: Run, imported: Import) -> None:
        """Wait for an approval, and for another one if the register is no longer what the first was about."""
        text = approval.question(imported)
        for time in count(1):
            given = job.wait_for("review", text)
            seen = given["data"].get("revision")
            if seen is None:  # given before revisions were kept
                return
            if name_of("review", time + 1) in job.memo:  # it did not hold, and was given again
                continue
            look = partial(approval.look_again, imported, given["at"])
            stands = job.once(approval.look_of(imported, time), look)
            imported.refresh_from_db()
            if stands == seen:
                return
            text = approval.question_again(imported)

    def check(self, job: Run, step: StepHandle, imported: Import, text: Any) -> None:
        """Check the spans of the file one by one, then all rows together."""
        layout = Layout(**imported.facts["layout"])
        columns = Columns.of(imported)

        stager = staging.Stager(imported.pk, columns, layout)

        def fetch(span: Span) -> staging.Staged:
            return stager.encode(text, span)

        for item in step.items(recognition.spans(imported), key=_range, label=_rows, fetch=fetch):
            with item:
                staging.write(imported.pk, item.value, item.fetched)
                item.result = {"rows": item.fetched.total}
        unread = JobItem.objects.filter(job=job.id, step="check").exclude(state=ItemState.DONE).first()
        if unread is not None:
            raise SourceError("not_read", f"{unread.label} could not be read. {unread.error}", retryable=True)
        step.message("Looking for identifiers that come twice")
        job.once("dates", lambda: dates.settle(imported))
        job.once("together", lambda: together.check_together(imported))
        job.once("counted", lambda: preview.count(imported))
        imported.refresh_from_db()
        if not imported.rows_total:
            raise SourceError("csv_no_rows", "The file has a header but no rows.")

    def load(self, step: StepHandle, imported: Import) -> None:
        """Write the good rows, batch by batch."""
        if not imported.rows_good:
            raise SourceError("no_good_rows", "No row can be loaded: each has an error. Correct the file.")
        threads = 1 if loading.is_alone(Columns.of(imported)) else LOADERS
        step.each(
            recognition.spans(imported),
            lambda span: asdict(loading.load(imported, span)),
            key=_range,
            label=_rows,
            threads=threads,
        )

    def ended(self, job: Job) -> None:
        """Keep how it ended; have the statistics follow what was written, also by one that failed midway."""
        imported = Import.objects.get(job=job)
        Import.objects.filter(pk=imported.pk).update(ended_as=status.state_of(job))
        chain.import_ended(imported)

    def can_start(self, user: Any, p: Params) -> None:
        """Refuse to go by the reviewers, and what definition and the file's first 64 KB show to be wrong."""
        definition = definition_of(p)
        if settings.REVIEW_BY_OTHERS and p.review == "never":
            raise SourceError("permission_denied", "Others review imports here: choose auto or always.")
        if p.file is None:
            arrivals.check_room(user)
            return
        upload = Upload.objects.filter(pk=p.file, owner=user).first()
        if upload is not None:  # else the engine says so
            arrivals.judge(upload, definition, p, saved(row_of(p)))

    def can_retry(self, job: Job) -> None:
        """Refuse to go on with what a later job has taken over, and with rows that are no longer kept."""
        imported = Import.objects.filter(job=job).first()
        retries = Job.objects.filter(retry_of=job)
        if imported is None and retries.exists() and not retries.filter(state__in=OPEN).exists():
            raise SourceError("nothing_to_retry", "A later job goes on with this import. Retry that one.")
        if imported is not None and imported.forgotten_at is not None:
            raise SourceError("nothing_to_retry", "The rows are no longer kept. Upload the file again.")

    def asks_first(self, p: Params) -> tuple[str, str] | None:
        """Ask for the file where none was given."""
        return ("upload", arrivals.QUESTION) if p.file is None else None

    def unique_key(self, p: Params) -> str | None:
        """Say that the same content read in the same way is the same work."""
        upload = arrivals.given(p.file)
        return None if upload is None else arrivals.key_of(upload, p)

    def choices(self, name: str) -> list[tuple[str, str]] | None:
        """Offer the definitions that there are."""
        if name != "definition":
            return None
        return list(ImportDefinition.objects.order_by("name").values_list("slug", "name")[:MAX_OFFERED])

    def describe(self, p: Params) -> tuple[str, str]:
        """Call the job after the file."""
        upload = arrivals.given(p.file)
        return f"Import {upload.name}" if upload else self.label, ""

    def may_answer(self, job: Job, kind: str, user: Any) -> bool:
        """Leave the last word to somebody else than the uploader, where the setting says so."""
        return not (kind == "review" and settings.REVIEW_BY_OTHERS and job.owner_id == user.pk)

    def answered(
        self, job: Any, kind: str, answer: str, data: Mapping[str, Any], by: Any
    ) -> Mapping[str, Any]:
        """Take an approval only of what its giver saw, and columns only when none is missing."""
        decisions.check_word(kind, answer, data)
        imported = Import.objects.select_for_update(of=("self",)).select_related("made_from").get(job=job)
        if kind == "upload" and answer != "reject":
            p = self.stored_params(job.params)
            arrivals.take(imported, job, data.get("file"), by, p, saved(imported.made_from))
        if kind == "match" and answer != "reject":
            return {**data, "columns": recognition.take_columns(imported, data.get("columns", {}))}
        if kind == "review" and answer != "reject":
            if data.get("revision") is not None:
                decisions.check_revision(imported, decisions.read_revision(data["revision"]))
            return {**data, "revision": imported.revision}
        return data

    def reviewers(self) -> QuerySet[User]:
        """Return who may review everybody's imports."""
        return who_hold("imports.review")

    def review_url(self, job: Job) -> str:
        """Return the page that shows what there is to decide; a file is sent on the job's own."""
        if (job.waiting_for or {}).get("kind") == "upload" or not job.object:
            return ""
        return reverse("imports:import", args=[job.object.partition(":")[2]])

    def created(self, job: Job, p: Params) -> None:
        """Make the import that the job is about; a retry goes on with the one of its parent."""
        if job.retry_of_id:
            # None: its rows went, or another retry took it, since `can_retry` was asked.
            left = Import.objects.filter(job=job.retry_of_id, forgotten_at=None)
            if not left.update(job=job, ended_as=""):
                raise Refused("nothing_to_retry", "There is nothing to retry.")
        else:
            _make(job, p)
        job.object = Import.objects.get(job=job).stream
        job.save(update_fields=["object"])


def _make(job: Job, p: Params) -> None:
    upload = Upload.objects.get(pk=p.file) if p.file else None
    made_from = ImportDefinition.objects.get(slug=p.definition)
    imported = Import.objects.create(
        job=job,
        slug=job.pk.hex,
        upload=upload,
        owner=job.owner,
        file_name=upload.name if upload else "",
        file_size=upload.size if upload else 0,
        definition=made_from.snapshot().as_json(),
        made_from=made_from,
        valid_from=p.valid_from,
        valid_to=p.valid_to,
    )
    imported.slug = arrivals.slug_of(imported)
    imported.save(update_fields=["slug"])


def _outcome(job: Run, imported: Import) -> Outcome:
    results = JobItem.objects.filter(job=job.id, step="load", state=ItemState.DONE).values_list(
        "result", flat=True
    )
    names = ("created", "updated", "skipped")
    created, updated, skipped = (sum(one.get(name, 0) for one in results if one) for name in names)
    Import.objects.filter(pk=imported.pk).update(created=created, updated=updated)
    left_out = f", {imported.rows_bad:,} with errors left out" if imported.rows_bad else ""
    if skipped:
        left_out += f", {skipped:,} left out as the register has changed since they were checked"
    return Outcome(
        text=f"{created + updated:,} rows loaded: {created:,} new, {updated:,} updated{left_out}",
        url=reverse("imports:import", args=[imported.pk]),
        data={
            "created": created,
            "updated": updated,
            "skipped": skipped,
            "errors": imported.rows_bad,
            "rows": imported.rows_total,
        },
        partial=bool(imported.rows_bad or skipped),
    )


def _range(span: Span) -> str:
    return f"{span.row}-{span.last}"


def _rows(span: Span) -> str:
    return f"Rows {span.row:,} to {span.last:,}"
