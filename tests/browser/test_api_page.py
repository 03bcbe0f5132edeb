"""The lines of docs/api.md for a browser do what the page says, in a page of the site."""

import re
from typing import Any

from ingestion.models import Job
from tests.engine import ROOT
from tests.realtime.rows import make_job
from tests.waiting import until

TEXT = (ROOT / "docs" / "api.md").read_text()


def test_a_page_cancels_a_job_and_is_told_why_not(signed_in: Any, alice: Any) -> None:
    (example,) = re.findall(r"^```js\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    job = make_job(alice)
    page = signed_in(alice)

    def run(job_id: object) -> Any:
        return page.evaluate(
            f"""async (id) => {{
                const shown = [];
                const show = (...words) => shown.push(words);
                {example}
                return [answer.status, shown];
            }}""",
            str(job_id),
        )

    status, shown = run(job.pk)
    assert (status, shown) == (202, [])
    until(lambda: Job.objects.get(pk=job.pk).cancel_requested_at is not None, what="the request to cancel")
    status, shown = run("00000000-0000-0000-0000-000000000000")
    assert (status, shown) == (404, [["not_found", "Not found."]])
    page.evaluate(
        "document.querySelectorAll('[name=csrfmiddlewaretoken]').forEach((one) => { one.value = 'x' })"
    )
    status, shown = run(job.pk)
    assert status == 403 and [code for code, _ in shown] == ["csrf_failed"]
