"""The code of docs/sources.md does what the page says, as it stands there."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from ingestion import lifecycle, source
from ingestion.models import JobItem, State
from ingestion.testing import resume_inline, run_inline
from tests.loopback import Loopback

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = Path(__file__).parent.parent.parent / "docs" / "sources.md"
CENTS = {"rice": 120, "tea": 340}


class _Shop(BaseHTTPRequestHandler):
    """Sells two products, and asks to wait when somebody asks for tea for the first time."""

    asked: Counter[str] = Counter()

    def do_GET(self) -> None:
        product = self.path.removeprefix("/prices/")
        self.asked[product] += 1
        busy = product == "tea" and self.asked[product] == 1
        self.send_response(429 if busy else 200 if product in CENTS else 404)
        if busy:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(json.dumps({"cents": CENTS.get(product)}).encode())

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The page's source, known to the engine, and its test."""
    declared, proved = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    shop = Loopback(_Shop)
    _Shop.asked.clear()
    monkeypatch.setenv("SHOP_URL", shop.url)
    names: dict[str, Any] = {"__name__": "prices_page"}
    try:
        exec(compile(declared + proved, str(PAGE), "exec"), names)
        yield names
    finally:
        source._registry.pop("prices", None)
        shop.stop()


def test_its_own_test_passes(page: dict[str, Any], alice: User) -> None:
    test: Callable[[User], None] = page["test_a_price_is_kept_though_the_worker_dies"]
    test(alice)
    prices = dict(JobItem.objects.exclude(result=None).values_list("key", "result__price"))
    assert prices == CENTS


def test_it_waits_where_the_shop_asks_for_it_and_then_gets_the_price(
    page: dict[str, Any], alice: User
) -> None:
    job = run_inline("prices", alice, products=["tea", "tea"])
    assert (job.state, job.items_done) == (State.COMPLETED, 1)
    assert _Shop.asked["tea"] == 2


@pytest.mark.parametrize(("answer", "state"), [("approve", State.COMPLETED), ("reject", State.CANCELLED)])
def test_it_asks_first_where_it_is_told_to(
    page: dict[str, Any], alice: User, answer: str, state: State
) -> None:
    job = run_inline("prices", alice, products=["rice"], ask=True)
    assert (job.state, job.waiting_for["text"]) == (State.WAITING, "Fetch 1 prices?")
    assert not _Shop.asked
    job = lifecycle.answer(job, answer, {}, alice)
    job = job if job.is_final else resume_inline(job)
    assert job.state == state
    assert bool(_Shop.asked) == (answer == "approve")
