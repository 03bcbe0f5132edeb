"""`job watch|show|cancel|retry|answer ID`: look at one job, or act on it."""

import sys
from contextlib import ExitStack
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet

from ingestion import bulk, lifecycle, serializers, uploads, words
from ingestion.admission import Refused
from ingestion.management import parameters
from ingestion.management.terminal import (
    add_json,
    code_of,
    find_job,
    find_user,
    interval,
    job_id,
    moment,
    usage,
)
from ingestion.management.watching import INTERVAL, WatchingCommand, bytes_read, figures
from ingestion.models import OPEN, ItemState, Job
from ingestion.source import get

SHOWN_EVENTS = 20
SHOWN_ITEMS = 20
MAX_CANCELLED = 10_000  # by one call
ANSWERS = ("approve", "reject", "upload", "match")


class Command(WatchingCommand):
    """`job VERB ID`."""

    help = "Look at one job or act on it. An id is always given whole."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        watch = _verb(verbs, "watch", "show progress until it has ended or needs a person")
        watch.add_argument(
            "--interval", type=interval, default=INTERVAL, metavar="SECONDS", help="between two looks"
        )
        _verb(verbs, "show", "tell all about it")
        cancel = verbs.add_parser("cancel", help="cancel it, or many")
        cancel.add_argument("id", type=job_id, nargs="?", metavar="ID")
        cancel.add_argument("--all", action="store_true", help="all open jobs, or all of --user")
        cancel.add_argument("--user", metavar="NAME", help="all open jobs of this user")
        cancel.add_argument("--yes", action="store_true", help="do not ask")
        add_json(cancel)
        retry = _verb(verbs, "retry", "start a job that does what it left undone")
        retry.add_argument("--failed-items", action="store_true", help="only the items that failed")
        retry.add_argument("--key", action="append", metavar="KEY", help="only this item; may be repeated")
        retry.add_argument("--error-code", metavar="CODE", help="only the items that failed with this code")
        retry.add_argument("--watch", action="store_true", help="show its progress")
        answer = _verb(verbs, "answer", "give a waiting job its answer")
        answer.add_argument("answer", choices=ANSWERS)
        answer.add_argument(
            "pairs",
            nargs="*",
            metavar="name=value",
            help="reason=TEXT to reject, file=PATH to upload, COLUMN=TARGET to match",
        )
        answer.add_argument("--user", metavar="NAME", help="who answers; the first superuser by default")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb."""
        if options["verb"] == "cancel":
            self._cancel(options)
            return
        job = find_job(options["id"])
        {"watch": self._watch, "show": self._show, "retry": self._retry, "answer": self._answer}[
            options["verb"]
        ](job, options)

    def _watch(self, job: Job, options: dict[str, Any]) -> None:
        self._watch_to_end(job, options, options["interval"])

    def _watch_to_end(self, job: Job, options: dict[str, Any], seconds: float = INTERVAL) -> None:
        job = self.watched(job, seconds)
        if options["as_json"]:
            self.say_job(job, None)
        if code_of(job):
            sys.exit(code_of(job))

    def _show(self, job: Job, options: dict[str, Any]) -> None:
        if options["as_json"]:
            self.say_job(job, None)
            return
        self.say("\n".join(f"{name:<9} {value}" for name, value in _facts(job) if value))
        for _, step in serializers.steps_of(job):
            self.say(f"  {words.word(step.get('state', '')):<10} {step.get('label', '')}")
        bad = job.items.filter(state__in=(ItemState.FAILED, ItemState.QUARANTINED)).order_by("ordinal", "pk")
        for item in bad[:SHOWN_ITEMS]:
            self.say(f"  {words.word(item.state)}: {item.label or item.key}: {item.error}")
        if job.items_failed > SHOWN_ITEMS:
            self.say(f"  and {job.items_failed - SHOWN_ITEMS:,} more")
        events = list(job.events.order_by("-version")[:SHOWN_EVENTS])
        for event in reversed(events):
            self.say(f"{moment(event.at)}  {event.message}")

    def _cancel(self, options: dict[str, Any]) -> None:
        many = options["all"] or options["user"] is not None
        if many == (options["id"] is not None):
            usage("usage: job cancel ID, or --all, or --user NAME")
        if many:
            self._cancel_many(options)
            return
        job = find_job(options["id"])
        try:
            job = lifecycle.cancel(job, None)
        except Refused as refused:
            raise CommandError(_refusal(refused, job)) from refused
        if options["as_json"]:
            self.say_job(job, None)
        else:
            self.say(f"Job {job.pk} is {words.word(serializers.display(job)).lower()}.")

    def _cancel_many(self, options: dict[str, Any]) -> None:
        found: QuerySet[Job] = Job.objects.filter(state__in=OPEN, cancel_requested_at=None).order_by("pk")
        if options["user"] is not None:
            found = found.filter(owner=find_user(options["user"]))
        jobs = list(found[:MAX_CANCELLED])
        done = bulk.Done()
        cancelled: list[str] = []
        if jobs:
            what = "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"
            if not options["yes"]:
                self.sure(f"Cancel {what}?", f"Say --yes to cancel {what}.")
            cancelled = [str(job.pk) for job in jobs if done.one(partial(lifecycle.cancel, job, None))]
        for reason in done.reasons():
            self.note(reason)
        if options["as_json"]:
            self.say_json({"cancelled": cancelled})
        elif jobs:
            self.say(f"{done.count} of {what} cancelled or asked to stop.")
        else:
            self.say("Nothing to cancel.")

    def _retry(self, job: Job, options: dict[str, Any]) -> None:
        keys = options["key"]
        if options["failed_items"]:
            bad = job.items.filter(state__in=(ItemState.FAILED, ItemState.QUARANTINED))
            keys = list((bad if keys is None else bad.filter(key__in=keys)).values_list("key", flat=True))
        try:
            if options["failed_items"] and job.is_final and not keys:
                raise Refused("nothing_to_retry", "")
            made = lifecycle.retry(job, None, keys=keys, error_code=options["error_code"])
        except Refused as refused:
            if refused.code != "nothing_to_retry":
                raise CommandError(_refusal(refused, job)) from refused
            self._say_nothing(job, options)
            return
        told = "does the rest" if made.created else "does the rest already"
        (self.note if options["as_json"] else self.say)(f"Job {made.job.pk} {told}.")
        if options["watch"]:
            self._watch_to_end(made.job, options)
        elif options["as_json"]:
            self.say_job(made.job, None, created=made.created)

    def _say_nothing(self, job: Job, options: dict[str, Any]) -> None:
        if options["as_json"]:
            self.note("Nothing to retry.")
            self.say_job(job, None)
        else:
            self.say("Nothing to retry.")

    def _answer(self, job: Job, options: dict[str, Any]) -> None:
        user = find_user(options["user"])
        given = parameters.read_pairs(options["pairs"])
        data: dict[str, Any] = {name: values[-1] for name, values in given.items()}
        if options["answer"] == "reject" and not data.get("reason"):
            usage("Say why: reason=TEXT.")
        if options["answer"] == "upload" and "file" not in data:
            usage("Name the file: file=PATH.")
        if options["answer"] == "match":
            data = {"columns": data}
        with ExitStack() as stack:
            # A job that waits for nothing refuses, and no file is stored for nothing.
            if options["answer"] == "upload" and job.waiting_for is not None:
                stored = parameters.store(get(job.source), user, data["file"], bytes_read(self.console))
                data["file"] = str(stack.enter_context(uploads.given_to_a_job(stored)).pk)
            job = lifecycle.answer(job, options["answer"], data, user)
        if options["as_json"]:
            self.say_job(job, user)
        else:
            self.say(f"Job {job.pk} is {words.word(serializers.display(job)).lower()}.")


def _verb(verbs: Any, name: str, told: str) -> CommandParser:
    parser: CommandParser = verbs.add_parser(name, help=told)
    parser.add_argument("id", type=job_id, metavar="ID")
    add_json(parser)
    return parser


def _refusal(refused: Refused, job: Job) -> str:
    if refused.code == "already_finished":
        return f"Job {job.pk} has already finished ({Job.objects.get(pk=job.pk).state})."
    if refused.code == "not_finished":
        return f"Job {job.pk} has not finished."
    if refused.code == "not_found":
        return f"No job {job.pk}."
    return refused.message


def _facts(job: Job) -> list[tuple[str, str]]:
    asked = (job.waiting_for or {}).get("text", "")
    return [
        ("Job", str(job.pk)),
        ("What", job.name),
        ("Source", job.source),
        ("Owner", job.owner.get_username() if job.owner else "nobody"),
        ("State", figures(job)),
        ("Progress", f"{job.progress:.0%}"),
        ("Attempt", str(job.attempt or "")),
        ("Made", moment(job.created_at)),
        ("Started", moment(job.started_at)),
        ("Ended", moment(job.finished_at)),
        ("Asks", asked),
        ("Says", (job.error or {}).get("text") or job.message),
        ("Result", job.result_url),
        ("Retry of", str(job.retry_of_id or "")),
    ]
