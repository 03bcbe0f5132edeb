"""Lifelogs in the admin: operators see how they do, never a key nor what was said."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from ingestion.models import Schedule
from ingestion.sources.lifelogs import accounts
from ingestion.sources.lifelogs.models import Account, DataItem, Day
from ingestion.testing import run_inline
from tests.lifelogs.service import KEY, Server

pytestmark = pytest.mark.django_db
SAID = "otters"


@pytest.fixture
def desk(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


def test_operators_see_them_without_keys_and_words_and_nobody_changes_them(
    desk: Client, alice: User, account: Account, service: Server
) -> None:
    service.put("a", "2026-11-18T08:00+01:00", title=f"About {SAID}", text=SAID)
    run_inline("lifelogs", alice, account=account.pk, mode="day", date="2026-11-18")
    account.refresh_from_db()
    for row, shown in ((Account, "limitless"), (Day, "partial"), (DataItem, "limitless:a")):
        path = f"/admin/lifelogs/{row._meta.model_name}/"
        one = row.objects.get()
        pages = [desk.get(path), desk.get(f"{path}{one.pk}/change/"), desk.get(path, {"q": "alice"})]
        assert [page.status_code for page in pages] == [200, 200, 200]
        text = "".join(page.content.decode() for page in pages)
        assert shown in text
        for secret in (KEY, account.sealed_key, account.fingerprint, SAID):
            assert secret not in text
        assert desk.post(f"{path}{one.pk}/change/", {"label": "x"}).status_code == 403
        assert desk.get(f"{path}add/").status_code == 403
        assert desk.get(f"{path}{one.pk}/delete/").status_code == 403
        desk.force_login(alice)
        assert desk.get(path).status_code == 302
        desk.force_login(User.objects.get(username="staff"))


def test_an_operator_pauses_accounts_and_lets_them_go_on(desk: Client, account: Account) -> None:
    def act(name: str, who: Client) -> str:
        chosen = {"action": name, "_selected_action": [account.pk]}
        answer = who.post("/admin/lifelogs/account/", chosen, follow=True)
        account.refresh_from_db()
        return str(answer.content.decode())

    assert "1 paused." in act("pause", desk)
    assert (account.status, account.reason) == ("paused", "An operator paused it.")
    assert Schedule.objects.get().paused
    assert "0 paused." in act("pause", desk)
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_all_jobs"))
    looks = Client()
    looks.force_login(reader)
    act("resume", looks)
    assert account.status == "paused"
    assert "1 go on." in act("resume", desk)
    assert account.status == "active" and not Schedule.objects.get().paused
    accounts.pause(account, "You paused it.")
    assert "0 go on." in act("resume", desk) and account.status == "paused"
