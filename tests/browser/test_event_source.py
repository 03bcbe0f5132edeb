"""A browser's own EventSource follows a job with the lines of docs/follow.md."""

import re
from typing import Any

from tests.engine import ROOT
from tests.realtime.rows import finish, make_job, move
from tests.waiting import until

TEXT = (ROOT / "docs" / "follow.md").read_text()


def test_event_source_follows_a_job_and_stops(signed_in: Any, alice: Any) -> None:
    job = make_job(alice)
    page = signed_in(alice, "/healthz")  # a page of the site without a script of ours
    (example,) = re.findall(r"^```js\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    page.evaluate(
        f"""(id) => {{
            window.shown = [];
            const show = (job) => window.shown.push({{ message: job.message, state: job.state }});
            {example}
            window.events = events;
        }}""",
        str(job.pk),
    )
    until(lambda: page.evaluate("shown.length") == 1, what="the state")
    for number in range(3):
        move(job, event="log", message=f"No. {number}")
        until(lambda n=number: page.evaluate("shown.at(-1).message") == f"No. {n}", what="the change")
    finish(job)
    until(lambda: page.evaluate("shown.at(-1).state") == "completed", what="the end")
    until(lambda: page.evaluate("events.readyState === EventSource.CLOSED"), what="the browser to stop")
    assert page.evaluate("shown.at(-1).message") == "No. 2"
