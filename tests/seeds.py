"""The seed ids whose proof is due: each is named by the mark `seed` of at least one test.

S: behaviours of the documents that Headway brings together. SEC: rows of the security review.
An id joins when what it names is built. Promises, faults and findings are not here: docs/promises.md names
their tests.
"""


def _ids(kind: str, *numbers: int | range) -> set[str]:
    """Return ids such as "SEC7"; a range gives all that are in it."""
    flat = (n for one in numbers for n in (one if isinstance(one, range) else [one]))
    return {f"{kind}{number}" for number in flat}


def upto(first: int, last: int) -> range:
    """Return the numbers from first to last, both included."""
    return range(first, last + 1)


INBOX = _ids(
    "S2.", upto(3, 5), upto(24, 30), upto(38, 45), upto(50, 55), 86, 94, 98, upto(102, 105), 109, 111, 114
)
TOPICS = _ids("S2.", 6, 18, 19, 83, upto(87, 91), upto(95, 97), upto(99, 100), 106, 108, 110, 112, 113)
LIFELOGS = _ids("S0.", upto(1, 34))
STABILITY = _ids("S4.", upto(1, 74))
COMPANIES = _ids("S1.", upto(1, 104))
DOCUMENTS = _ids("S3.", upto(1, 59))
SECURITY = _ids("SEC", upto(1, 80))
ARTICLES = _ids(
    "S2.",
    *(1, 2, upto(7, 17), upto(20, 23), upto(31, 37), upto(46, 49), upto(56, 85), 87, 89, 90),
    *(92, 93, 97, 101, 107),
)

# Without a test, and why.
ANSWERED_OTHERWISE = {
    "S4.17": "optional there; a job's own stream tells its progress, which never passes NOTIFY",
    "S1.54": "live.js connects when a page is shown; its head says how, and no code waits for that",
    "S1.55": "the address is in the page itself (data-live-url), made by who serves it",
    "S1.61": "an ES module is evaluated once a page",
    "S1.84": "pages name no host, port or protocol: what serves the page serves the socket",
    "S1.85": "as S1.84",
    "S1.86": "as S1.84",
    "S1.101": "prose: a plan of phases",
    "S1.102": "prose: a plan of phases",
    "S1.103": "prose: a plan of phases",
    "S1.104": "prose: an estimate of weeks",
}
DUE = (INBOX | TOPICS | LIFELOGS | STABILITY | COMPANIES | DOCUMENTS | ARTICLES | SECURITY) - set(
    ANSWERED_OTHERWISE
)
