"""What an article says of a topic, found out here: no service is asked, and twice the same is found.

Words of English are known best; what is not judged in another language is said in a note. No settings and no
database are known here: who parses a page judges it, too.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from ingestion.encoders import DEFAULT_EMBEDDER, multilingual
from ingestion.sources.articles.sentiments import sentiment
from ingestion.sources.articles.words import LONGEST_KEYWORD, fold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ingestion.sources.articles.models import Topic

    Vector = NDArray[np.float32]

MODEL = f"local-2 {DEFAULT_EMBEDDER}"
# Of the encoder: what its makers trained it with.
MEANING = {"ar", "zh", "en", "fr", "de", "it", "ja", "ko", "nl", "pl", "pt", "es", "th", "tr", "ru"}
UNSPACED = {"zh", "ja", "th", "lo", "km", "my"}
NO_LANGUAGE = "The text is too short to tell its language."
TERMS = 10
SUMMARY = 400  # characters, about
JUDGED = 2_000  # characters of an article whose meaning is compared
# The cosine of texts that have nothing in common, and of such as tell the same in other words.
UNLIKE, ALIKE = 0.05, 0.55
KEYWORDS_SHARE = 0.4  # of the relevance; the rest is the meaning's
ENOUGH_KEYWORDS = 2  # different ones, from which an article cannot be more to the point
_ENDS = "\n\r.!?:\u2026\u3002\uff01\uff1f"  # of a title
CURLY = "\u2019"  # how typesetters write an apostrophe
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_SENTENCE = re.compile(
    r"(?<=[.!?\u2026])[\"'\u201d\u2019\u00bb)]*\s+(?=[\"'\u201c\u2018\u00ab(]?[^\W_])|(?<=[\u3002\uff01\uff1f])|\n+"
)
_LANGUAGES = {
    "da": "Danish",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sv": "Swedish",
    "tr": "Turkish",
}


class Readable(Protocol):
    """What is known of an article where it is judged."""

    title: str
    text: str
    language: str


@dataclass(frozen=True)
class Wanted:
    """A topic as articles are compared with it."""

    text: str
    keywords: tuple[tuple[int, str], ...]  # (pk, folded)


@dataclass
class Judgement:
    """What was found."""

    relevance: float
    sentiment: float | None
    summary: str
    terms: list[str]
    matches: dict[int, int]  # keyword -> how often
    looked: tuple[int, ...]  # keywords that were looked for
    model: str = MODEL
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it as it is sent to another process."""
        return {**vars(self), "matches": list(self.matches.items())}

    @classmethod
    def of(cls, said: dict[str, Any]) -> "Judgement":
        """Return what `as_json` made of one."""
        return cls(**{**said, "matches": dict(said["matches"]), "looked": tuple(said["looked"])})


def wanted(topic: "Topic") -> Wanted:
    """Return what a topic looks for."""
    rows = tuple(topic.keywords.order_by("pk").values_list("pk", "folded"))
    said = [
        topic.name,
        topic.description,
        ", ".join(topic.keywords.order_by("pk").values_list("text", flat=True)),
    ]
    return Wanted(". ".join(one for one in said if one), rows)


def judge(page: Readable, topic: Wanted, *, compare: bool = True) -> Judgement:
    """Judge an article.

    compare: its meaning with the topic's, which takes most of the time; else keywords alone count.
    """
    matches = find(topic.keywords, f"{page.title}\n{page.text}")
    notes = []
    if not page.language:
        notes.append(NO_LANGUAGE)
    tone = None
    if page.language == "en":
        tone = sentiment([word.lower().replace(CURLY, "'") for word in _WORD.findall(page.text)])
    elif page.language:
        notes.append("The tone is judged in English texts only.")
    if page.language in UNSPACED:
        notes.append("Words of this language are not told apart: the summary is the beginning of the text.")
    keywords = min(1.0, len(matches) / min(ENOUGH_KEYWORDS, len(topic.keywords))) if topic.keywords else None
    if not compare:
        relevance = keywords or 0.0
    elif page.language in MEANING or not page.language:
        meaning = _meaning(page, topic)
        relevance = (
            meaning if keywords is None else (1 - KEYWORDS_SHARE) * meaning + KEYWORDS_SHARE * keywords
        )
    else:
        notes.append("The meaning of texts in this language is not compared: keywords alone count.")
        relevance = keywords or 0.0
    looked = tuple(pk for pk, _ in topic.keywords)
    return Judgement(round(relevance, 4), tone, summary(page), terms(page), matches, looked, MODEL, notes)


def find(keywords: tuple[tuple[int, str], ...], text: str) -> dict[int, int]:
    """Return how often each keyword stands in a text, as a whole word unless its letters know no spaces."""
    folded = fold(text)
    found = {}
    for pk, keyword in keywords:
        count = len(_pattern(keyword).findall(folded))
        if count:
            found[pk] = count
    return found


def terms(page: Readable) -> list[str]:
    """Return the words that the article speaks of most, of equal ones the first in the text."""
    if page.language in UNSPACED:
        return []
    counts = _weights(page)
    chosen = sorted(counts, key=lambda word: -counts[word])[:TERMS]  # stable: the first in the text first
    return [word[:LONGEST_KEYWORD] for word in chosen if counts[word] > 1] or chosen[:3]


def summary(page: Readable) -> str:
    """Return the sentences that speak most of what the article speaks of, in its own order."""
    sentences = [
        one.strip() for one in _SENTENCE.split(after_title(page.text, page.title)) if one and one.strip()
    ]
    if page.language in UNSPACED or len(sentences) < 3:
        return _shortened(" ".join(sentences))
    counts = _weights(page)
    ranked = []
    for n, sentence in enumerate(sentences):
        words = [word for word in _words(sentence) if word in counts]
        if len(words) >= 5 and len(sentence) <= SUMMARY:
            weight = sum(counts[word] for word in set(words)) / math.sqrt(len(words))
            ranked.append((-weight / (1 + 0.02 * n), n))
    chosen: list[int] = []
    left = SUMMARY
    for _, n in sorted(ranked):
        if len(sentences[n]) <= left:
            chosen.append(n)
            left -= len(sentences[n]) + 1
        if len(chosen) == 3:
            break
    return " ".join(sentences[n] for n in sorted(chosen)) or _shortened(" ".join(sentences))


def after_title(text: str, title: str) -> str:
    """Return a text without the title at its beginning, where that stands by itself."""
    begun, title = text.lstrip(), title.strip()
    if not title or begun[: len(title)].casefold() != title.casefold():
        return text
    rest = begun[len(title) :].lstrip(" \t")
    # A sentence that only begins like the title goes on with a word.
    return rest.lstrip(f"{_ENDS} \t") if not rest or rest[0] in _ENDS else text


def _meaning(page: Readable, topic: Wanted) -> float:
    [other] = multilingual().encode([f"{page.title}. {page.text[:JUDGED]}"])
    near = float(_sought(topic.text) @ other)
    return min(1.0, max(0.0, (near - UNLIKE) / (ALIKE - UNLIKE)))


@lru_cache(maxsize=64)
def _sought(text: str) -> "Vector":
    vector: Vector = multilingual().encode([text])[0]
    return vector


def _weights(page: Readable) -> Counter[str]:
    stops = _stop_words(page.language)
    counts = Counter(word for word in _words(page.text) if len(word) > 2 and word not in stops)
    for word in set(_words(page.title)):
        if word in counts:
            counts[word] += 2
    return counts


def _words(text: str) -> list[str]:
    return [word.lower().replace(CURLY, "'") for word in _WORD.findall(text)]


@lru_cache(maxsize=16)
def _stop_words(language: str) -> frozenset[str]:
    # Here: it comes with what reads pages, and only who reads pages needs it.
    import justext

    name = _LANGUAGES.get(language)
    if name is None:
        return frozenset()
    return frozenset(word.lower() for word in justext.get_stoplist(name))


@lru_cache(maxsize=1024)
def _pattern(keyword: str) -> re.Pattern[str]:
    plain = re.escape(keyword)
    unspaced = re.search(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]", keyword)
    return re.compile(plain if unspaced else rf"(?<!\w){plain}(?!\w)")


def _shortened(text: str) -> str:
    if len(text) <= SUMMARY:
        return text
    return (
        text[: SUMMARY - 1].rpartition(" ")[0].rstrip(",;:") + "…"
        if " " in text[:SUMMARY]
        else text[:SUMMARY]
    )
