"""Bad texts in every form of the admin: refused at their field, nothing sent back that steers.

The forms are asked of the admin itself: a new one is tried without a word here.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory

from tests.surfaces import values

pytestmark = pytest.mark.django_db


def admin_forms(user: User) -> Iterator[tuple[str, Any]]:
    """Yield each form class with its name: of what is added, of what is changed, of rows below."""
    request = RequestFactory().get("/")
    request.user = user
    for model, page in admin.site._registry.items():
        if page.has_add_permission(request):
            yield f"add {model.__name__}", page.get_form(request, None, change=False)
        if page.has_change_permission(request):
            yield f"change {model.__name__}", page.get_form(request, model(), change=True)
        for inline in page.get_inline_instances(request, None):
            yield f"rows {inline.model.__name__}", inline.get_formset(request, None).form


def test_every_form_of_the_admin_refuses_bad_texts(admin_user: User) -> None:
    tried, wrong = set(), []
    for where, form in admin_forms(admin_user):
        for name, field in form().fields.items():
            # What is typed and not shown: a password may be anything.
            if not isinstance(field, forms.CharField) or isinstance(field.widget, forms.PasswordInput):
                continue
            lines = isinstance(field.widget, forms.Textarea)
            tried.add(where)
            for what, value in [*(values.STEERING_LINES if lines else values.STEERING), values.UNSTORABLE[0]]:
                sent = form(data={name: value})
                if not sent.errors.get(name):
                    wrong.append(f"{where}: {name} takes a {what}")
                elif values.raw_control(str(sent[name]) + str(sent.errors)):
                    wrong.append(f"{where}: {name} sends back a {what}")
            for what, value in values.BLANK:
                if field.required and not form(data={name: value}).errors.get(name):
                    wrong.append(f"{where}: {name} takes {what}")
    assert tried >= {
        "add User",
        "change User",
        "add Group",
        "add ImportDefinition",
        "rows TargetColumn",
        "add CodeList",
    }
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)


def test_a_code_list_names_the_line_that_is_refused(admin_user: User) -> None:
    form = next(form for where, form in admin_forms(admin_user) if where == "add CodeList")
    sent = form(data={"name": "Regions", "lines": "a = Anna\nb = B\x1bo"})
    assert sent.errors["lines"] == ["Line 2 contains a character that is not allowed (position 6)."]
    sent = form(data={"name": "Regions", "lines": "a = Anna\n\nb = B\to"})
    assert sent.errors["lines"] == ["Line 3 contains a character that is not allowed (position 6)."]
