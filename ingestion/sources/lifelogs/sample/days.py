"""Days of somebody whom we made up: what they recorded on any date, the same whenever one asks."""

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

# title, who else speaks, what is said in turns; the wearer begins.
_SCENES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Plans over breakfast",
        "Ines",
        (
            "I could take the early tram and be back before the market closes.",
            "Then bring bread, and ask whether the scales were mended.",
            "I will. Did the letter about the boat shed come?",
            "It is on the shelf. They want an answer by Friday.",
        ),
    ),
    (
        "Standing meeting at the workshop",
        "Bo",
        (
            "The blue hull is sanded and can be painted as soon as it is dry enough.",
            "Two days of sun would do. I have ordered the varnish.",
            "Who looks after the school class on Thursday?",
            "I do, if somebody finds twelve small life jackets.",
        ),
    ),
    (
        "Call with the harbour office",
        "Ms Aalto",
        (
            "We would like to move the mast crane to the other quay for the winter.",
            "That is possible, but the ground must be measured first.",
            "Could that be done this month?",
            "The week after next. I will send you the form.",
        ),
    ),
    (
        "Walk around the lighthouse",
        "",
        (
            "The gate by the rocks is open again, and somebody has painted the bench.",
            "Idea for the newsletter: a list of all gates and when they close.",
        ),
    ),
    (
        "Reading to Noor",
        "Noor",
        (
            "The otter looked at the moon and asked whether it could swim.",
            "It cannot. It would get wet.",
            "That is what the otter was told, too.",
        ),
    ),
    (
        "Groceries and a long queue",
        "Tomas",
        (
            "They have the good pears, but only by the crate.",
            "Half a crate each, and we make jam on Sunday.",
            "Agreed. You bring the jars.",
        ),
    ),
    (
        "Choir practice",
        "Ruth",
        (
            "Once more from the second page, and softer where the altos come in.",
            "We breathe too early before the last line.",
            "Then we breathe together, at the comma.",
        ),
    ),
    (
        "Notes on the way home",
        "",
        (
            "Ring the sailmaker about the torn corner.",
            "The tram was full again at six; the quarter past is better.",
        ),
    ),
)
_FIRST_HOUR, _LAST_HOUR = 6, 23
UPLOAD = timedelta(minutes=50)  # how late some recordings reach the service


@dataclass(frozen=True)
class Made:
    """A recording as it will be when it is over. seen_from: when the service has it first."""

    source_id: str
    title: str
    speaker: str
    lines: tuple[str, ...]
    started_at: datetime
    ended_at: datetime
    seen_from: datetime


def of(day: date, zone: ZoneInfo) -> list[Made]:
    """Return what begins on a day, ascending. One day in 23 is empty."""
    dice = random.Random(f"headway {day.isoformat()}")  # nosec B311  # nobody is to be kept from guessing it
    if day.toordinal() % 23 == 11:
        return []
    found = []
    hours = sorted(dice.sample(range(_FIRST_HOUR, _LAST_HOUR), dice.randint(6, 11)))
    if hours[-1] < _LAST_HOUR - 1:
        hours.append(_LAST_HOUR - 1)  # so that the evening of the day on which one watches has something
    for number, hour in enumerate(hours):
        title, speaker, lines = dice.choice(_SCENES)
        started = datetime(day.year, day.month, day.day, hour, dice.randrange(50), tzinfo=zone)
        ended = started + timedelta(minutes=dice.randint(3, 55))
        late = UPLOAD if number % 2 else timedelta(0)
        source_id = f"sample{day:%Y%m%d}n{number:02}"
        found.append(
            Made(source_id, title, speaker, lines, started, ended, (ended if late else started) + late)
        )
    return found


def told(made: Made, now: datetime, *, contents: bool, markdown: bool) -> dict[str, Any]:
    """Return a recording as the service tells it at a moment: one that is not over yet is shorter."""
    share = (now - made.started_at) / (made.ended_at - made.started_at)
    count = len(made.lines) if share >= 1 else max(1, int(share * len(made.lines)))
    ended = min(made.ended_at, max(now, made.started_at)).replace(microsecond=0)
    names = ["You", made.speaker or "You"]
    lines = [(names[n % 2], text) for n, text in enumerate(made.lines[:count])]
    heading: dict[str, Any] = {"type": "heading1", "content": made.title, "children": []}
    quotes: list[dict[str, Any]] = [
        {
            "type": "blockquote",
            "content": text,
            "speakerName": name,
            "speakerIdentifier": "user" if name == "You" else None,
            "children": [],
        }
        for name, text in lines
    ]
    said = "\n".join(f"- {name}: {text}" for name, text in lines)
    return {
        "id": made.source_id,
        "title": made.title,
        "markdown": f"# {made.title}\n\n{said}" if markdown else None,
        "contents": [heading, *quotes] if contents else [],
        "startTime": made.started_at.isoformat(),
        "endTime": ended.astimezone(made.started_at.tzinfo).isoformat(),
        "isStarred": False,
        "updatedAt": ended.isoformat(),
    }
