"""`schedule list|add|edit|pause|resume|run|delete`: what starts again and again."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from config import audit
from ingestion import schedules
from ingestion.management import parameters
from ingestion.management.terminal import TerminalCommand, add_json, find_user, moment
from ingestion.models import Schedule

MAX_LISTED = 1000


class Command(TerminalCommand):
    """`schedule VERB`."""

    help = "List and change what is started again and again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        add_json(verbs.add_parser("list", help="list schedules"))
        add = verbs.add_parser("add", help="make one")
        add.add_argument("source", metavar="SOURCE")
        add.add_argument("pairs", nargs="*", metavar="name=value", help="the source's parameters")
        add.add_argument("--cron", required=True, help="minute hour day month weekday: '0 6 * * *'")
        add.add_argument("--zone", default="UTC", help="for example Europe/Oslo; default UTC")
        add.add_argument("--name", help="default: the source's label")
        add.add_argument("--user", metavar="NAME", help="whose jobs; the first superuser by default")
        edit = _verb(verbs, "edit", "change one; what is not given stays")
        edit.add_argument("pairs", nargs="*", metavar="name=value", help="parameters to change")
        edit.add_argument("--cron")
        edit.add_argument("--zone")
        edit.add_argument("--name")
        edit.add_argument("--user", metavar="NAME")
        add_json(add)
        for name, told in (("pause", "start nothing"), ("resume", "go on"), ("run", "start it once, now")):
            _verb(verbs, name, told)
        delete = _verb(verbs, "delete", "remove it; its jobs stay")
        delete.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb."""
        verb = {
            "list": self._list,
            "add": self._add,
            "edit": self._edit,
            "pause": self._pause,
            "resume": self._pause,
            "run": self._run,
            "delete": self._delete,
        }[options["verb"]]
        verb(options)

    def _list(self, options: dict[str, Any]) -> None:
        rows = list(Schedule.objects.select_related("owner").order_by("pk")[:MAX_LISTED])
        if options["as_json"]:
            self.say_json([_data(schedule) for schedule in rows])
        elif rows:
            heads = ["ID", "NEXT", "CRON", "ZONE", "OWNER", "SOURCE", "NAME"]
            self.say_table(heads, [_cells(schedule) for schedule in rows])
        else:
            self.note("No schedules.")

    def _add(self, options: dict[str, Any]) -> None:
        source = parameters.find_source(options["source"])
        schedule = Schedule(
            name=options["name"] or source.label,
            source=source.kind,
            params=parameters.params_of(source, parameters.read_pairs(options["pairs"])),
            cron=options["cron"],
            zone=options["zone"],
            owner=find_user(options["user"]),
        )
        self._keep(schedule, options)

    def _edit(self, options: dict[str, Any]) -> None:
        schedule = _find(options["id"])
        for name in ("name", "cron", "zone"):
            if options[name] is not None:
                setattr(schedule, name, options[name])
        if options["user"]:
            schedule.owner = find_user(options["user"])
        given = parameters.read_pairs(options["pairs"])
        source = parameters.find_source(schedule.source)
        schedule.params = {**schedule.params, **parameters.params_of(source, given)}
        self._keep(schedule, options)

    def _keep(self, schedule: Schedule, options: dict[str, Any]) -> None:
        if problems := schedules.check(schedule):
            raise CommandError(" ".join(f"{name}: {text}" for name, text in problems.items()))
        self._told(schedules.put(schedule), options)

    def _pause(self, options: dict[str, Any]) -> None:
        _find(options["id"])
        self._told(schedules.set_paused(options["id"], options["verb"] == "pause"), options)

    def _run(self, options: dict[str, Any]) -> None:
        _find(options["id"])
        schedule = schedules.start_once(options["id"])
        if options["as_json"] and schedule.last_job is not None:
            self.say_job(schedule.last_job, None)
        else:
            self.say(f"Job {schedule.last_job_id} was started.")

    def _delete(self, options: dict[str, Any]) -> None:
        schedule = _find(options["id"])
        if not options["yes"]:
            self.sure(
                f"Delete schedule {schedule.pk}, {schedule.name}?", f"Say --yes to delete {schedule.name}."
            )
        with transaction.atomic():
            Schedule.objects.filter(pk=schedule.pk).delete()
            audit.write("schedule.delete", f"schedule:{schedule.pk}", name=schedule.name)
        if options["as_json"]:
            self.say_json({"deleted": options["id"]})
        else:
            self.say(f"Schedule {options['id']} is deleted.")

    def _told(self, schedule: Schedule, options: dict[str, Any]) -> None:
        if options["as_json"]:
            self.say_json(_data(schedule))
        else:
            runs = "is paused" if schedule.paused else f"runs next at {moment(schedule.next_at)}"
            self.say(f"Schedule {schedule.pk}, {schedule.name}, {runs}.")


def _verb(verbs: Any, name: str, told: str) -> CommandParser:
    parser: CommandParser = verbs.add_parser(name, help=told)
    parser.add_argument("id", type=int, metavar="ID", help="its number in `schedule list`")
    add_json(parser)
    return parser


def _find(pk: int) -> Schedule:
    schedule = Schedule.objects.select_related("owner").filter(pk=pk).first() if 0 < pk < 2**63 else None
    if schedule is None:
        raise CommandError(f"No schedule {pk}.")
    return schedule


def _cells(schedule: Schedule) -> list[str]:
    following = "paused" if schedule.paused else moment(schedule.next_at)
    owner = schedule.owner.get_username()
    return [str(schedule.pk), following, schedule.cron, schedule.zone, owner, schedule.source, schedule.name]


def _data(schedule: Schedule) -> dict[str, Any]:
    return {
        "id": schedule.pk,
        "name": schedule.name,
        "source": schedule.source,
        "params": schedule.params,
        "cron": schedule.cron,
        "zone": schedule.zone,
        "owner": schedule.owner.get_username(),
        "paused": schedule.paused,
        "next_at": schedule.next_at,
        "last_at": schedule.last_at,
        "last_job": schedule.last_job_id,
        "last_error": schedule.last_error or None,
    }
