"""Which passages have the words of a question: by the index, the rarest words first."""

from collections.abc import Iterable

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from ingestion import search as top
from ingestion.sources.documents import by_words, search, vectors, workspaces
from ingestion.sources.documents.models import Chunk, Document, Workspace
from ingestion.testing import run_inline
from tests.documents.conftest import Add, Counting, store

pytestmark = pytest.mark.django_db(transaction=True)


def names(ids: Iterable[int]) -> list[str]:
    found = Chunk.objects.select_related("document").in_bulk(list(ids))
    return [found[pk].document.name for pk in ids]


def ranked(workspace: Workspace, question: str, documents: list[int] | None = None) -> list[str]:
    place = by_words.Place(workspace.pk, 10, documents or [])
    return names(by_words.ranked(place, by_words.words_of(question), 10))


def test_rare_words_choose_and_common_ones_only_order(
    add: Add, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(4):
        add(f"Cobalt is mined in place {n}.", f"cobalt-{n}.txt")
    add("Nickel is mined here.", "nickel.txt")
    both = add("Nickel and cobalt are mined here.", "both.txt")
    assert set(ranked(workspace, "nickel cobalt")) == {
        "nickel.txt",
        "both.txt",
        *(f"cobalt-{n}.txt" for n in range(4)),
    }
    monkeypatch.setattr(by_words, "MOST_OF_A_WORD", 2)
    assert ranked(workspace, "nickel cobalt") == ["both.txt", "nickel.txt"]
    assert ranked(workspace, "nickel cobalt", [both.pk]) == ["both.txt"]
    # What too many have choose together; where none has all of them, the rarest alone.
    add("Copper is mined.", "copper.txt")
    for n in range(3):
        add(f"Copper is smelted, {n} times.", f"copper-{n}.txt")
    assert ranked(workspace, "cobalt copper")[0].startswith(("copper", "cobalt"))
    add("Copper and cobalt are sold.", "sold.txt")
    assert ranked(workspace, "cobalt copper") == ["sold.txt"]
    # Those that have all are weighed alike, though neither is among the few that are known of each word.
    add("Copper is sold, cobalt is sold, copper and cobalt are kept.", "often.txt")
    assert ranked(workspace, "cobalt copper") == ["often.txt", "sold.txt"]


def test_where_words_stand_densely_comes_first_among_the_few_that_are_compared(
    add: Add, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = "Nothing else is said about that here. " * 10
    add(f"Nickel is mined. {rest} Cobalt is not.", "once.txt")
    add(f"Nickel is mined, cobalt is not; nickel is sold, cobalt is kept. {rest}", "often.txt")
    assert ranked(workspace, "nickel cobalt") == ["often.txt", "once.txt"]
    monkeypatch.setattr(by_words, "MOST_COMPARED", 1)
    assert ranked(workspace, "nickel cobalt") == ["once.txt", "often.txt"]  # in the order they came


def test_neither_another_workspace_nor_what_is_not_ready_takes_a_place(
    add: Add, alice: User, workspace: Workspace, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = workspaces.make(alice, "Other", "", status="ready")
    for n in range(3):
        run_inline("documents", alice, file=store(alice, f"Cobalt elsewhere {n}."), workspace=other.pk)
        waiting = add(f"Cobalt that waits {n}.", f"waits-{n}.txt")
        Document.objects.filter(pk=waiting.pk).update(status="processing")
    add("Cobalt is here.", "here.txt")
    monkeypatch.setattr(by_words, "MOST_OF_A_WORD", 1)
    assert ranked(workspace, "cobalt") == ["here.txt"]
    # The number of a workspace is no part of a word: nobody asks for another's so.
    assert ranked(workspace, f"{other.pk}:cobalt {other.pk}") == ["here.txt"]
    found = search.search(workspace, "cobalt")
    assert ([hit.chunk.document.name for hit in found.hits], found.ready, found.not_ready) == (
        ["here.txt"],
        1,
        3,
    )


def test_the_index_knows_which_passages_have_a_word(add: Add, workspace: Workspace) -> None:
    document = add("Cobalt is here.", "here.txt")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for has, terms in (
            (by_words._HAS_ALL, [[f"{workspace.pk}:cobalt"]]),
            (by_words._HAS_ONE_OF_AND, [[f"{workspace.pk}:cobalt"], [f"{workspace.pk}:mine"]]),
        ):
            sql, chosen = by_words.statement(by_words.Place(workspace.pk, 1), has)
            cursor.execute(f"EXPLAIN {sql}", [*terms, *chosen, 10])
            assert "chunk_by_terms" in "".join(row[0] for row in cursor.fetchall())
        # Of a document that is chosen, its own index is asked: a word that most passages have is found soon.
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        sql, chosen = by_words.statement(by_words.Place(workspace.pk, 1, [document.pk]), by_words._HAS_ALL)
        cursor.execute(f"EXPLAIN {sql}", [[f"{workspace.pk}:cobalt"], *chosen, 10])
        assert "chunk_once" in "".join(row[0] for row in cursor.fetchall())


def test_many_vectors_are_compared_by_their_index(add: Add, workspace: Workspace, counting: Counting) -> None:
    if not vectors.has_pgvector():
        pytest.skip("this server has no pgvector")
    wanted = add("apples and pears grow here", "fruit.txt")
    add("cars and trains drive there", "traffic.txt")
    question = counting.encode(["apples and pears"])[0]
    for documents in ([], [wanted.pk]):
        found = vectors.nearest(workspace, counting.id, question, 5, documents, vectors.EXACT + 1)
        assert names([found[0][0]]) == ["fruit.txt"]
        assert len(found) == (1 if documents else 2)


def test_the_top_bar_finds_documents_by_name_and_by_words_of_a_passage(
    add: Add, alice: User, bob: User
) -> None:
    named = add("Nothing to see here.", "Otter report.txt")
    saying = add("The otter sleeps, holding hands with its kin.", "notes.txt")
    add("Badgers dig.", "badgers.txt")

    def found(user: User, query: str) -> list[tuple[str, str]]:
        groups = [one for one in top.search(user, query) if one.kind.label == "Documents"]
        return [(hit.title, hit.url) for group in groups for hit in group.hits]

    assert found(alice, "otter") == [
        ("Otter report.txt", named.get_absolute_url()),
        ("notes.txt", saying.get_absolute_url()),
    ]
    assert found(alice, "hands otter") == [("notes.txt", saying.get_absolute_url())]
    assert found(alice, "otter badgers") == found(bob, "otter") == []
