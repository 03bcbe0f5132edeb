"""The pages and the API of imports: what is shown, to whom, and that no cell is ever run."""

import csv
import io
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from structlog.testing import capture_logs

from ingestion import lifecycle
from ingestion.models import Job
from ingestion.sources.imports import exports, review, staged
from ingestion.sources.imports.analytics.source import run_chain
from ingestion.sources.imports.columns import ADDED
from ingestion.sources.imports.models import Import, StagedSpan, Unit
from ingestion.testing import resume_inline
from tests.imports.conftest import Run, definition, store
from tests.imports.plans import TABLES, rows_read, told

pytestmark = pytest.mark.django_db(transaction=True)

XSS = "<img src=x onerror=alert(1)>"
BAD = f'tax_ident,name,employees,"{XSS}"\n1,a,1,x\n2,{XSS},two,y\n3,c,3,z\n'


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def test_the_review_page_shows_what_is_wrong_and_what_will_happen(run: Run, signed_in: Client) -> None:
    imported = run(BAD)
    page = signed_in.get(imported.get_absolute_url()).content.decode()
    for text in (
        "3 rows, 4 columns",
        "Nothing has been written yet",
        "<strong>employees</strong> is not a whole number",
        "2 rows will be imported, 1 left out.",
        "Approve 2 rows",
        "Reject import",
        "UTF-8",
        "Comma",
    ):
        assert text in page
    assert f'data-live="job:{imported.job_id}"' in page


@pytest.mark.seed("SEC34")
def test_cells_headers_and_names_are_shown_literally(run: Run, signed_in: Client) -> None:
    """UP27."""
    imported = run(BAD, name="<b>register</b>.csv")
    for url in (
        imported.get_absolute_url(),
        f"{imported.get_absolute_url()}?f=all",
        "/imports/",
        "/imports/units/",
    ):
        page = signed_in.get(url).content.decode()
        assert XSS not in page and "<b>register" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in signed_in.get(imported.get_absolute_url()).content.decode()


def test_approving_on_the_page_loads_the_rows(run: Run, signed_in: Client) -> None:
    imported = run(BAD)
    answer = signed_in.post(f"/jobs/{imported.job_id}/answer/", {"answer": "approve"})
    assert answer.status_code == 302
    job = resume_inline(imported.job)
    assert job.state == "partial"  # it left rows out, and a retry would leave them out again
    page = signed_in.get(job.get_absolute_url()).content.decode()
    assert "Completed with errors" in page and f'action="/jobs/{job.pk}/retry/"' not in page
    assert "Completed with errors" in signed_in.get(imported.get_absolute_url()).content.decode()
    page = signed_in.get(imported.get_absolute_url()).content.decode()
    assert "2 rows are in the register" in page
    assert "Approve 2 rows" not in page
    assert "Approved by alice" in page


def test_a_stranger_sees_nothing_a_reviewer_does(run: Run, client: Client, bob: User) -> None:
    imported = run(BAD)
    own, api = imported.get_absolute_url(), f"/api/imports/{imported.pk}"
    urls = [own, f"{own}errors.csv", api, f"{api}/rows"]
    assert client.get(urls[0]).status_code == 302
    client.force_login(bob)
    assert [client.get(url).status_code for url in urls] == [404] * 4
    assert client.get("/api/imports").json()["imports"] == []
    bob.user_permissions.add(Permission.objects.get(codename="review", content_type__app_label="imports"))
    assert [client.get(url).status_code for url in urls] == [200] * 4
    page = client.get(urls[0]).content.decode()
    assert "Approve 2 rows" in page
    assert f'data-live="import:{imported.pk}"' in page  # the job is not theirs to see


def test_a_wrong_method_is_refused(run: Run, signed_in: Client) -> None:
    imported = run("tax_ident,name\n1,a\n")
    for url in (
        imported.get_absolute_url(),
        f"{imported.get_absolute_url()}errors.csv",
        "/imports/",
        "/imports/units/",
    ):
        assert signed_in.post(url).status_code == 405


def test_odd_addresses_are_not_errors(run: Run, signed_in: Client) -> None:
    imported = run(BAD)
    for query in ("?after=x", "?after=99999999999999999999999", "?f=%00", "?after=-1", "?f=all&after=٣"):
        assert signed_in.get(imported.get_absolute_url() + query).status_code == 200
    assert signed_in.get("/imports/units/?q=%00").status_code == 400  # without a filter it would be all of it
    for query in ("?q=%27%26%7C%21", "?q=" + "x" * 5000, "?cursor=%00", "?cursor=x", "?q=***"):
        assert signed_in.get("/imports/units/" + query).status_code == 200
    assert signed_in.get("/imports/99999999999999999999999/").status_code == 404
    assert signed_in.get("/api/imports/99999999999999999999999").status_code == 404


@pytest.mark.seed("SEC52")
def test_rows_with_errors_are_given_as_a_file_that_no_spreadsheet_runs(run: Run, signed_in: Client) -> None:
    """UP26."""
    imported = run(
        "tax_ident,name,turnover,note\n"
        "1,=cmd|' /C calc'!A0,-5,@x\n"
        '2, +1,"-5,5",\'-x\n'
        '3,,-5.5,"a, ""b"""\n'
        "3,-7,=1,x\n"
    )
    with capture_logs() as logged:
        response = signed_in.get(f"{imported.get_absolute_url()}errors.csv")
    assert [one["what"] for one in logged if one["event"] == "file_taken"] == [f"import-{imported.pk}-errors"]
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="register-errors.csv"'
    rows = list(csv.reader(io.StringIO(content_of(response).decode("utf-8-sig"), newline="")))
    assert rows == [
        ["tax_ident", "name", "turnover", "note", *ADDED],
        ["3", "", "-5.5", 'a, "b"', "4", "name is empty", ""],
        ["3", "'-7", "'=1", "x", "5", "turnover is not a number", ""],
    ]
    everything = csv.reader(
        io.StringIO("".join(exports.parts(imported, "all")).removeprefix("\ufeff"), newline="")
    )
    names = [row[1:4] for row in everything][1:3]
    assert names == [["'=cmd|' /C calc'!A0", "-5", "'@x"], ["' +1", "-5,5", "'-x"]]


def content_of(response: Any) -> bytes:
    """Return all of a streamed answer."""

    async def read() -> bytes:
        return b"".join([part async for part in response])

    return async_to_sync(read)()


def test_a_download_reads_some_rows_at_a_time(
    run: Run, signed_in: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that any number of rows takes the memory of a few: those of one part, by number and by bytes."""
    long = "x" * 1000
    imported = run("tax_ident,name\n" + "".join(f"{n},\n" for n in range(4)) + f",{long}\n,{long}\n,y\n")
    monkeypatch.setattr(staged, "CHUNK", 3)
    monkeypatch.setattr(staged, "MOST_BYTES", 1500)
    taken: list[int] = []
    whole = staged._first

    def watch(*args: Any) -> tuple[list[int], bool]:
        numbers, more = whole(*args)
        taken.append(len(numbers))
        return numbers, more

    monkeypatch.setattr(staged, "_first", watch)
    response = signed_in.get(f"{imported.get_absolute_url()}errors.csv")
    assert response.is_async and taken == []

    async def first() -> bytes:
        parts = aiter(response)
        return await anext(parts) + await anext(parts)

    assert b"\r\n2,,4,name is empty" in async_to_sync(first)() and taken == [3]
    taken.clear()
    rows = list(csv.reader(io.StringIO("".join(exports.parts(imported)), newline="")))
    assert [int(row[2]) for row in rows[1:]] == list(range(2, 9))
    assert taken == [3, 2, 2] and [len(row[1]) for row in rows[-3:]] == [1000, 1000, 1]


@pytest.mark.seed("UX41", "SEC52")
def test_the_rows_with_errors_come_back_mended(run: Run, signed_in: Client, alice: User) -> None:
    """UX41: download, mend, send again: those rows load, and nothing that we added is loaded with them."""
    imported = run(
        'Company Number,Name,Employees,Turnover,note\n1,a,1,,x\n2,=b,two,"1,234",-y\n3,,3,,"z\nz"\n4,\n',
        review="always",
    )
    lifecycle.answer(imported.job, "approve", {}, alice)
    assert resume_inline(imported.job).state == "partial"
    given = content_of(signed_in.get(f"{imported.get_absolute_url()}errors.csv"))
    rows = list(csv.reader(io.StringIO(given.decode("utf-8-sig"), newline="")))
    assert [row[5] for row in rows] == ["headway_row", "3", "4", "5"]
    assert rows[1][6:] == [
        "Employees is not a whole number",
        "Turnover the comma is read as the decimal sign",
    ]
    assert rows[1][:5] == ["2", "'=b", "two", "1,234", "'-y"]
    rows[1][2], rows[2][1] = "2", "c"
    mended = io.StringIO(newline="")
    csv.writer(mended).writerows(rows[:3])
    again = run("\ufeff" + mended.getvalue(), name="register-errors.csv")
    assert (again.job.state, again.created, again.updated) == ("completed", 2, 0)
    assert list(Unit.objects.order_by("tax_ident").values_list("name", "employees", "extra")) == [
        ("a", 1, {"note": "x"}),
        ("=b", 2, {"note": "-y"}),
        ("c", 3, {"note": "z\nz"}),
    ]


def test_the_register_is_searched_by_identifier_and_by_words(run: Run, signed_in: Client) -> None:
    run("tax_ident,name\n001,Birch Bakery\n002,Oak Boats\n003,Birchwood Mills\n")
    run_chain()
    for query, found in (("birch", {"001", "003"}), ("002", {"002"}), ("oak boat", {"002"}), ("none", set())):
        answer = signed_in.get("/api/units", {"q": query}).json()
        assert {unit["tax_ident"] for unit in answer["units"]} == found
    assert "Oak Boats" in signed_in.get("/imports/units/?q=oak").content.decode()


def test_the_api_pages_through_rows(run: Run, signed_in: Client) -> None:
    imported = run("tax_ident,name\n" + "".join(f"{n},\n" for n in range(5)) + "9,good\n")
    seen, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        answer = signed_in.get(f"/api/imports/{imported.pk}/rows", query).json()
        seen += [row["number"] for row in answer["rows"]]
        if (cursor := answer["next"]) is None:
            break
    assert seen == [2, 3, 4, 5, 6]
    data = signed_in.get(f"/api/imports/{imported.pk}").json()
    assert (data["rows_total"], data["rows_bad"], data["display"]) == (6, 5, "waiting_for_review")
    assert data["mapping"] == {"tax_ident": "tax_ident", "name": "name"}


def test_updates_are_found_however_far_apart_they_are(
    run: Run, signed_in: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("tax_ident,name\n7,a\n26,b\n28,c\n")
    imported = run("tax_ident,name\n" + "".join(f"{n},x\n" for n in range(30)), review="always")
    monkeypatch.setattr(staged, "WINDOW", 4)
    url = imported.get_absolute_url()
    page = signed_in.get(f"{url}?f=updates").content.decode()
    assert [f">{n}</td>" in page for n in (9, 28, 30)] == [True] * 3 and 'rel="next"' not in page

    monkeypatch.setattr(staged, "PATIENCE", -1.0)  # one look a page
    page = signed_in.get(f"{url}?f=updates").content.decode()
    assert "0 shown, of the rows up to 4" in page and f'href="{url}?f=updates&amp;after=4#rows-h"' in page
    assert ">9</td>" in signed_in.get(f"{url}?f=updates&after=8").content.decode()
    seen, query = [], {"filter": "updates"}
    while query.get("cursor", "") is not None:
        answer = signed_in.get(f"/api/imports/{imported.pk}/rows", query).json()
        seen += [row["number"] for row in answer["rows"]]
        query["cursor"] = answer["next"]
    assert seen == [9, 28, 30]
    assert staged.page(imported, "updates", 8, 1)[1] == 12
    monkeypatch.setattr(staged, "WINDOW", 40)
    assert [row.number for row in staged.page(imported, "updates", 0, 2)[0]] == [9, 28]
    assert staged.page(imported, "updates", 28, 2)[1] is None


def test_the_pages_cost_few_queries_whatever_the_rows(
    run: Run, signed_in: Client, django_assert_max_num_queries: object
) -> None:
    imported = run("tax_ident,name\n" + "".join(f"{n},\n" for n in range(500)))
    with django_assert_max_num_queries(20):  # type: ignore[operator]
        signed_in.get(imported.get_absolute_url())
    assert Unit.objects.count() == 0


@pytest.mark.parametrize("which", ["", "?f=all", "?f=all&after=1500", "?f=errors&after=1500", "?f=warnings"])
def test_a_page_reads_few_of_many_rows(which: str, run: Run, signed_in: Client) -> None:
    doubtful = '"1,000"'  # or one with three decimals
    good = "".join(f"{n},unit {n},{'' if n % 7 else doubtful}\n" for n in range(3000))
    imported = run("tax_ident,name,turnover\n" + good + ",nobody,\n" * 200, review="always")
    with CaptureQueriesContext(connection) as asked:
        page = signed_in.get(imported.get_absolute_url() + which).content.decode()
    assert page.count("<tr") > review.ROWS
    statements = told(asked, "imports_importrow", *TABLES)
    assert statements
    spans = list(StagedSpan.objects.filter(parent=imported).values_list("rows", flat=True))
    assert len(spans) > 2
    for statement in statements:
        read, lines = rows_read(statement)
        assert read < 20 * review.ROWS and lines <= max(spans), statement  # of one span, not of the file


def key_of(imported: Import, column: str) -> str:
    return next(one["key"] for one in imported.problems if one["column"] == column)


def test_a_cause_is_decided_on_the_page_and_approved_as_shown(run: Run, signed_in: Client) -> None:
    imported = run(BAD)
    url = imported.get_absolute_url()
    decided = signed_in.post(
        f"{url}decide/", {"key": key_of(imported, "employees"), "choice": "empty", "revision": "0"}
    )
    assert (decided.status_code, decided["Location"]) == (302, f"{url}#problems-h")
    page = signed_in.get(f"{url}?f=all").content.decode()
    assert "3 rows will be imported, 0 left out." in page and "will be empty" in page
    signed_in.post(f"{url}answer/", {"answer": "approve", "revision": "1"})
    result = resume_inline(imported.job).result
    assert (result["created"], result["updated"], result["errors"]) == (3, 0, 0)


def test_what_was_not_seen_is_neither_decided_nor_approved(run: Run, signed_in: Client) -> None:
    imported = run(BAD)
    url = imported.get_absolute_url()
    form = {"key": key_of(imported, "employees"), "choice": "empty", "revision": "0"}
    signed_in.post(f"{url}decide/", form)
    words = "This has changed since you opened the page, so nothing was done."
    for path, data in ((f"{url}decide/", form), (f"{url}answer/", {"answer": "approve", "revision": "0"})):
        refused = signed_in.post(path, data)
        assert refused.status_code == 409
        assert words in refused.content.decode() and "Approve 3 rows" in refused.content.decode()
    assert Job.objects.get(pk=imported.job_id).state == "waiting"


def test_odd_answers_are_refused_in_words(run: Run, signed_in: Client) -> None:
    imported = run(BAD)
    url, key = imported.get_absolute_url(), key_of(imported, "employees")
    for path, data, status, words in (
        ("decide", {"key": "x", "choice": "empty"}, 404, "There is no such problem."),
        ("decide", {"key": key, "choice": "value", "value": "many"}, 400, "is not a whole number"),
        ("decide", {"key": key, "choice": "value", "value": "1\0"}, 400, "Give a value."),
        ("decide", {"key": key, "choice": "map", "from": ["a"], "to": ["b"]}, 400, "cannot be decided"),
        ("answer", {"answer": "reject", "reason": " "}, 400, "Say why"),
        ("answer", {"answer": "upload"}, 400, "Approve or reject."),
        ("answer", {"answer": "approve", "revision": "٣"}, 409, "nothing was done"),
    ):
        refused = signed_in.post(f"{url}{path}/", {"revision": "0", **data})
        assert (refused.status_code, words in refused.content.decode()) == (status, True), data
    assert not Import.objects.get().decisions


def test_what_is_refused_need_not_be_typed_again(run: Run, signed_in: Client) -> None:
    definition({"name": "sector_code", "type": "enum", "codes": {"S1": "State"}})
    imported = run("tax_ident,name,sector_code\n1,a,X\n2,b,Y\n", definition="mine")
    decide = f"{imported.get_absolute_url()}decide/"
    form = {"key": key_of(imported, "sector_code"), "revision": "0"}
    refused = signed_in.post(decide, {**form, "choice": "value", "value": "S9"}).content.decode()
    assert '<option value="value" selected>' in refused and 'name="value" value="S9"' in refused
    codes = {"choice": "map", "from": ["X", "Y"], "to": ["S1", "S9"]}
    refused = signed_in.post(decide, {**form, **codes}).content.decode()
    assert '<option value="map" selected>' in refused
    assert 'name="to" value="S1"' in refused and 'name="to" value="S9"' in refused
    assert not Import.objects.get().decisions


def test_only_who_may_decide_does(run: Run, client: Client, bob: User) -> None:
    imported = run(BAD)
    url = imported.get_absolute_url()
    client.force_login(bob)
    forms = [("decide", {"key": key_of(imported, "employees"), "choice": "empty", "revision": "0"})]
    forms.append(("answer", {"answer": "approve", "revision": "0"}))
    assert [client.post(f"{url}{path}/", data).status_code for path, data in forms] == [404, 404]
    bob.user_permissions.add(Permission.objects.get(codename="review", content_type__app_label="imports"))
    assert client.post(f"{url}decide/", forms[0][1]).status_code == 302
    approved = client.post(f"{url}answer/", {"answer": "approve", "revision": "1"}, follow=True)
    assert "Approved by bob at" in approved.content.decode()
    assert client.get(f"{url}answer/").status_code == 405


def test_nobody_approves_their_own_where_others_must(
    run: Run, client: Client, alice: User, bob: User, settings: Any
) -> None:
    """DESIGN 4.6: by page, by the job's page and by API, and the page does not offer it."""
    settings.REVIEW_BY_OTHERS = True
    imported = run(BAD)
    url, api = imported.get_absolute_url(), f"/api/jobs/{imported.job_id}"
    client.force_login(alice)
    page = client.get(url).content.decode()
    assert "Somebody else has to approve it." in page
    assert "Approve 2 rows" not in page and "Reject import" not in page
    assert client.get(api).json()["can"] == ["cancel"]
    for path, data in (
        (f"{url}answer/", {"answer": "approve", "revision": "0"}),
        (f"/jobs/{imported.job_id}/answer/", {"answer": "reject", "reason": "no"}),
    ):
        assert client.post(path, data).status_code == 403
    body: dict[str, Any] = {"answer": "approve"}
    assert client.post(f"{api}/answer", body, content_type="application/json").status_code == 403
    body = {"source": "imports", "params": {"file": store(alice, BAD), "review": "never"}}
    unasked = client.post("/api/jobs", body, content_type="application/json")
    assert (unasked.status_code, unasked.json()["code"]) == (403, "permission_denied")
    assert Job.objects.get(pk=imported.job_id).state == "waiting"

    bob.user_permissions.add(Permission.objects.get(codename="review", content_type__app_label="imports"))
    client.force_login(bob)
    assert "Approve 2 rows" in client.get(url).content.decode()
    client.post(f"{url}answer/", {"answer": "approve", "revision": "0"})
    assert Job.objects.get(pk=imported.job_id).state == "pending"


@pytest.mark.parametrize(
    "body",
    [
        {"answer": "no"},
        {"answer": "rejected", "data": {"reason": "Wrong year"}},
        {"answer": "approved", "data": {"revision": 0}},
        {"answer": "match", "data": {"columns": {}}},
        {"answer": "reject"},
        {"answer": "reject", "data": {"reason": " "}},
    ],
)
def test_only_a_word_that_answers_is_taken(body: dict[str, Any], run: Run, signed_in: Client) -> None:
    imported = run(BAD)
    url = f"/api/jobs/{imported.job_id}/answer"
    refused = signed_in.post(url, body, "application/json")
    assert (refused.status_code, refused.json()["code"]) == (400, "validation_failed")
    assert Job.objects.get(pk=imported.job_id).state == "waiting"
    assert signed_in.post(url, {"answer": "approve"}, "application/json").status_code == 200


def test_columns_are_matched_on_the_page(run: Run, signed_in: Client) -> None:
    imported = run("Reg. no,Business title,Staff\nA-1,Aspen Bakery,12\n")
    url = imported.get_absolute_url()
    page = signed_in.get(url).content.decode()
    for text in ("Reg. no", "<code>Aspen Bakery</code>", "Proposed: its cells look like it", "Go on"):
        assert text in page
    refused = signed_in.post(f"{url}match/", {"column-0": "tax_ident", "column-1": ""})
    assert refused.status_code == 400
    told = refused.content.decode()
    assert "Say which column is Name (name)." in told
    assert '<option value="tax_ident" selected>' in told and '<option value="name" selected>' not in told
    assert "Still needed: <strong>Name</strong>." in told
    signed_in.post(f"{url}match/", {"column-0": "tax_ident", "column-1": "name", "column-2": "employees"})
    assert resume_inline(imported.job).state == "completed"
    assert Unit.objects.get().employees == 12


def test_a_missing_required_column_is_named(run: Run, signed_in: Client) -> None:
    imported = run("x,y\n?,!\n")
    page = signed_in.get(imported.get_absolute_url()).content.decode()
    assert "Still needed: <strong>Identifier</strong>, <strong>Name</strong>." in page


def test_each_row_says_what_it_will_do(run: Run, signed_in: Client) -> None:
    run("tax_ident,name\n1,a\n2,b\n")
    imported = run("tax_ident,name\n1,x\n2,\n3,c\n", review="always")
    page = signed_in.get(f"{imported.get_absolute_url()}?f=updates").content.decode()
    assert "Updates 1</a>" in page and ">Updated</td>" in page and ">Created</td>" not in page
    everything = signed_in.get(f"{imported.get_absolute_url()}?f=all").content.decode()
    assert [everything.count(f">{word}</") for word in ("Updated", "Created", "Left out")] == [1, 1, 1]


def test_programs_decide_by_the_api(run: Run, signed_in: Client, bob: User) -> None:
    imported = run(BAD)
    url = f"/api/imports/{imported.pk}"
    cause = signed_in.get(url).json()["problems"][0]
    assert (cause["choices"], cause["choice"], cause["decided"]) == (
        ["leave_out", "empty", "value"],
        "leave_out",
        None,
    )

    def decide(**values: object) -> tuple[int, dict[str, object]]:
        body = {"cause": cause["key"], "choice": "value", "value": "7", "revision": 0} | values
        response = signed_in.post(f"{url}/decisions", body, "application/json")
        return response.status_code, response.json()

    assert decide(cause="x")[0] == 404
    assert decide(choice="explode")[0] == 400
    assert decide(surprise=1)[0] == 400
    status, data = decide()
    assert (status, data["rows_bad"], data["revision"]) == (200, 0, 1)
    status, data = decide()
    assert (status, data["code"]) == (409, "changed_meanwhile")
    approve = {"answer": "approve", "data": {"revision": 0}}
    assert (
        signed_in.post(f"/api/jobs/{imported.job_id}/answer", approve, "application/json").status_code == 409
    )
    bob.user_permissions.add(Permission.objects.get(codename="view_unit", content_type__app_label="imports"))
    signed_in.force_login(bob)
    assert decide()[0] == 404
