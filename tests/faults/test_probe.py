"""The probe follows its own job through the site's address: how long that takes, or what is in the way."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.models import Job, State
from ingestion.sources.probe import source
from ingestion.testing import resume_inline
from realtime.models import Session
from tests.engine import Engine
from tests.proxy import Proxy
from tests.servers import free_port


@pytest.fixture
def operator(transactional_db: None) -> User:
    """Who may probe, and read figures."""
    user = User.objects.create_user("olga", is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=("operate", "view_all_jobs")))
    return User.objects.get(pk=user.pk)


@pytest.fixture
def front(engine: Engine) -> Iterator[Proxy]:
    """What stands between the probe and a web process."""
    _, port = engine.web()
    proxy = Proxy(("127.0.0.1", port))
    yield proxy
    proxy.close()


def probed(operator: User, changes: int = 3) -> Job:
    return resume_inline(lifecycle.create("probe", {"changes": changes}, owner=operator).job)


def figures(operator: User) -> dict[str, float]:
    client = Client()
    client.force_login(operator)
    lines = client.get("/metrics").content.decode().splitlines()
    found = (line.rsplit(" ", 1) for line in lines if line.startswith("headway_probe"))
    return {name: float(value) for name, value in found}


def test_a_probe_measures_what_a_change_takes_to_an_open_page(
    front: Proxy, operator: User, settings: Any
) -> None:
    settings.SITE_URL = f"http://{front.address}"
    job = probed(operator)
    assert (job.state, job.error) == (State.COMPLETED, None)
    assert job.result is not None and 0 < job.result["median_ms"] <= job.result["most_ms"] <= 2000
    assert not Session.objects.exists()  # it signed out
    assert figures(operator) == {
        'headway_probe_seconds{of="median"}': job.result["median_ms"] / 1000,
        'headway_probe_seconds{of="most"}': job.result["most_ms"] / 1000,
        "headway_probe_failed": 0,
    }


def test_a_probe_that_is_told_late_fails(
    front: Proxy, operator: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SITE_URL = f"http://{front.address}"
    front.latency = 0.3
    monkeypatch.setattr(source, "LATE_SECONDS", 0.25)
    job = probed(operator, 1)
    assert job.state == State.FAILED and job.error is not None and job.error["code"] == "probe_late"
    assert figures(operator) == {"headway_probe_failed": 1}


def test_a_probe_that_does_not_get_there_says_where_to_look(operator: User, settings: Any) -> None:
    settings.SITE_URL = f"http://127.0.0.1:{free_port()}"
    job = probed(operator)
    assert job.state == State.FAILED and job.error is not None
    assert job.error["code"] == "probe_unreachable" and "check_realtime" in job.error["text"]


def test_only_operators_probe(owner: User) -> None:
    with pytest.raises(Refused) as refused:
        lifecycle.create("probe", {}, owner=owner)
    assert refused.value.code == "permission_denied"
