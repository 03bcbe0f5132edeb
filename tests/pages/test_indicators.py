"""What a page shows while something takes long."""

import re

import pytest
from django.template import Context, Template

STEPS = [
    {"label": "Parsing PDF", "status": "complete"},
    {"label": "Chunking text", "status": "complete"},
    {"label": "Generating embeddings", "status": "running"},
    {"label": "Indexing to vector store", "status": "pending"},
]


def drawn(source: str, **context: object) -> str:
    return Template("{% load indicators headway %}" + source).render(Context(context))


@pytest.mark.seed("S3.24")
@pytest.mark.parametrize(("size", "css"), [("sm", "spinner sm"), ("md", "spinner"), ("lg", "spinner lg")])
def test_a_spinner_has_three_sizes(size, css):
    assert f'class="{css}"' in drawn("{% loading_spinner size %}", size=size)


@pytest.mark.seed("S3.25")
@pytest.mark.parametrize("status", ["pending", "processing", "provisioning", "ready", "failed", "error"])
def test_a_badge_says_each_status_in_two_sizes_and_a_message(status):
    small, large = drawn(
        "{% status_badge status %}|{% status_badge status 'lg' label %}", status=status, label="By <us>"
    ).split("|")
    assert f'class="badge" data-status="{status}"' in small and "<svg" in small
    assert f'class="badge lg" data-status="{status}"' in large and large.endswith("By &lt;us&gt;</span>")


@pytest.mark.seed("S3.26", "S3.27", "S3.28", "S3.52")
def test_an_indicator_says_what_is_done_in_its_order():
    html = drawn("{% progress_indicator steps %}", steps=STEPS)
    assert "Processing document..." in html and "This may take a few minutes" in html
    said = re.findall(r"<span>([^<]+)</span><span class=\"sr\">, ([^<]+)</span>", html)
    assert said == [
        ("Parsing PDF", "completed"),
        ("Chunking text", "completed"),
        ("Generating embeddings", "in progress"),
        ("Indexing to vector store", "to come"),
    ]
    other = drawn("{% progress_indicator steps 'Moving house' 'Mind the piano' %}", steps=[])
    assert "Moving house" in other and "Mind the piano" in other and "Processing" not in other
