"""The pages of the sample: what a small paper might print of the ferries on the Lenne."""

from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape

# name: (title, author, date, paragraphs)
PAGES: dict[str, tuple[str, str, str, list[str]]] = {
    "new-electric-ferry": (
        "New electric ferry joins the Lenne crossing",
        "Mara Holt",
        "2026-03-02",
        [
            "A new electric ferry began to cross the Lenne on Monday, and the first passengers praised "
            "how quiet it is. The ferry carries forty cars and two hundred people, and needs ten minutes "
            "for the crossing.",
            "The operator says that the batteries are charged at night, when power is cheap. The old "
            "diesel ferry stays in reserve until autumn.",
            "For commuters the new ferry is a success: the river crossing is faster, cleaner and more "
            "reliable than before, and the timetable now has a boat every twenty minutes.",
        ],
    ),
    "low-water-stops-ferry": (
        "Low water stops the ferry for a third day",
        "Jon Abel",
        "2026-07-18",
        [
            "The ferry at Lenne Lock did not run for a third day on Saturday because the river is too "
            "low. Hundreds of commuters were delayed, and shops on the east bank complained of losses.",
            "The water authority warned that the river may fall further. Without rain the ferry could be "
            "cancelled for weeks, a spokesman said, and the nearest bridge is forty kilometres away.",
            "Farmers fear damage as well: barges that carry grain cannot pass the lock while the water is "
            "low.",
        ],
    ),
    "bridge-or-ferry": (
        "Bridge or ferry? The council weighs the cost",
        "Mara Holt",
        "2026-05-11",
        [
            "The council met on Tuesday to compare a bridge with two more ferries. A bridge over the "
            "Lenne would cost ninety million, and take six years to build.",
            "Two ferries would cost eleven million and could start next spring. Members of the council "
            "asked for a study of how many people use the river crossing in winter.",
            "A decision is expected in June.",
        ],
    ),
    "harvest-festival": (
        "Harvest festival draws record crowds",
        "Ida Brandt",
        "2026-09-27",
        [
            "The harvest festival drew a record crowd this weekend. Bakers from twelve villages showed "
            "their bread, and the prize for the best apple cake went to a school class.",
            "The weather was perfect, the music was good, and nobody wanted to go home. The organisers "
            "were delighted and promised to come back next year.",
        ],
    ),
    "faehre-im-winter": (
        "Die Fähre fährt auch im Winter",
        "Ida Brandt",
        "2026-11-03",
        [
            "Die Fähre über die Lenne fährt in diesem Jahr auch im Winter. Der Betreiber hat ein Eisboot "
            "gekauft, das die Rinne am Morgen freihält.",
            "Bisher mussten die Pendler von Dezember bis Februar den Umweg über die Brücke nehmen. Die "
            "Gemeinde zahlt einen Teil der Kosten, die Fahrkarten werden nicht teurer.",
        ],
    ),
}


def html(name: str) -> str:
    """Return a page as its site would send it."""
    title, author, day, paragraphs = PAGES[name]
    language = "de" if name.startswith("faehre") else "en"
    head = (
        f'<meta charset="utf-8"><title>{escape(title)}</title><meta name="author" content="{escape(author)}">'
        f'<meta property="article:published_time" content="{day}">'
        '<meta property="og:site_name" content="The Lenne Courier">'
    )
    body = "".join(f"<p>{escape(text)}</p>" for text in paragraphs)
    return (
        f'<!DOCTYPE html><html lang="{language}"><head>{head}</head><body><nav><a href="/">Home</a></nav>'
        f"<article><h1>{escape(title)}</h1>{body}</article><footer>Made up.</footer></body></html>"
    )


def feed(address: str) -> str:
    """Return the paper's feed (RSS 2.0)."""
    items = []
    for name, (title, author, date, paragraphs) in PAGES.items():
        day = format_datetime(datetime.fromisoformat(date).replace(tzinfo=UTC))
        items.append(
            f"<item><title>{escape(title)}</title><link>{address}/{name}</link><pubDate>{day}</pubDate>"
            f"<dc:creator>{escape(author)}</dc:creator><description>{escape(paragraphs[0])}</description></item>"
        )
    head = f"<title>The Lenne Courier</title><link>{address}/</link><language>en</language>"
    inside = f"<channel>{head}{''.join(items)}</channel>"
    return f'<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/">{inside}</rss>'
