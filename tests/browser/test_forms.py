"""What holds for forms in a browser: one click is one request, and what is not taken is told."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from config import links
from ingestion.sources.companies.models import Company

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Two clicks before the page gives way; nothing is sent.
SENT_OF_TWO = """(form) => {
    let sent = 0;
    addEventListener("submit", (event) => {
        if (!event.defaultPrevented) sent += 1;
        event.preventDefault();
    });
    for (let n = 0; n < 2; n += 1) {
        form.dispatchEvent(new SubmitEvent("submit", {bubbles: true, cancelable: true}));
    }
    return sent;
}"""


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/account/", "account:password"),  # the second would find another password, and another session
        ("/account/", "account:make_token"),
        ("/account/", "account:delete"),
        ("/inbox/settings/", "notifications:set_webhook"),  # of two secrets one is shown, the other kept
    ],
)
def test_two_clicks_send_a_form_once(page, signed_in, alice, path, form):
    signed_in(alice, path)
    assert page.locator(f'form[action="{reverse(form)}"]').evaluate(SENT_OF_TWO) == 1
    assert page.watched.wrong == []


def test_two_clicks_use_a_sign_in_link_once(page, site, alice):
    page.goto(links.make(alice, site))
    assert page.locator("main form").evaluate(SENT_OF_TWO) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda route: route.abort(), "The server did not answer."),
        (
            lambda route: route.fulfill(
                status=503, content_type="text/html", body='<div class="empty"><p>Come back later.</p></div>'
            ),
            "Come back later.",
        ),
    ],
    ids=["no answer", "an error page"],
)
def test_what_htmx_sends_and_nobody_takes_is_told_and_shown_as_it_is(page, signed_in, alice, answer, told):
    page.emulate_media(reduced_motion="reduce")
    company = Company.objects.create(cik=7, name="Micro Lantern")
    signed_in(alice, company.get_absolute_url())
    page.route(f"**{reverse('companies:follow', args=[company.pk])}", answer)
    page.click("#follow")
    expect(page.locator("#toasts")).to_contain_text("Not done")
    expect(page.locator("#toasts")).to_contain_text(told)
    expect(page.locator("#follow")).not_to_be_checked()
