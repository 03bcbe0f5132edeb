"""Workspaces and documents in the admin: operators see how they do, never what is written in them."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from ingestion.models import Job, State
from ingestion.sources.documents.models import Document, Workspace
from ingestion.testing import resume_inline
from tests.documents.conftest import Add

pytestmark = pytest.mark.django_db(transaction=True)
SAID = "otters"


@pytest.fixture
def desk(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


def test_operators_see_them_without_their_text_and_nobody_changes_them(
    desk: Client, alice: User, workspace: Workspace, add: Add
) -> None:
    document = add(f"# {SAID}\n\n{SAID} sleep", "river.md")
    for one, shown in ((workspace, "Supplier risk"), (document, "river.md")):
        path = f"/admin/documents/{one._meta.model_name}/"
        pages = [desk.get(path), desk.get(f"{path}{one.pk}/change/"), desk.get(path, {"q": "alice"})]
        assert [page.status_code for page in pages] == [200, 200, 200]
        for page in pages:
            assert shown in page.content.decode() and SAID not in page.content.decode()
        for way in (f"{one.pk}/change/", "add/", f"{one.pk}/delete/"):
            assert desk.post(f"{path}{way}", {"name": "x"}).status_code == 403
        stranger = Client()
        stranger.force_login(alice)
        assert stranger.get(path).status_code == 302


def test_an_operator_has_documents_processed_again(desk: Client, workspace: Workspace, add: Add) -> None:
    path = "/admin/documents/document/"
    failed, ready = add("  ", "empty.txt"), add("otters sleep", "river.md")
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_all_jobs"))
    looks = Client()
    looks.force_login(reader)
    chosen = {"action": "process_again", "_selected_action": [failed.pk, ready.pk]}
    looks.post(path, chosen, follow=True)
    assert not Job.objects.filter(owner=None).exists()
    assert "2 asked for." in desk.post(path, chosen, follow=True).content.decode()
    desk.post(path, chosen, follow=True)  # joins those that wait
    assert Job.objects.filter(owner=None).count() == 2
    ended = [resume_inline(job).state for job in Job.objects.filter(owner=None).order_by("pk")]
    assert sorted(ended) == [State.COMPLETED, State.FAILED]
    stands = dict(Document.objects.values_list("name", "status"))
    assert stands == {"empty.txt": "failed", "river.md": "ready"}
