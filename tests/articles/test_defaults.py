"""What the seed names as its settings holds where nobody sets anything else."""

import pytest

from config import paging
from ingestion import admission, keeper, reporter
from ingestion.source import get
from ingestion.sources.articles import source
from ingestion.sources.articles.sockets import JobProgress
from realtime import limits


@pytest.mark.seed("S2.87", "S2.88", "S2.89", "S2.90", "S2.91")
def test_the_defaults_are_those_of_the_seed() -> None:
    assert get("bulk_analysis").limit == 3  # at once; the fourth waits and says so
    assert keeper.PRUNE_SECONDS == 3600
    assert admission.MAX_QUEUED_PER_USER == 100  # of one source
    assert source.THREADS == 3  # pages that a job reads at once
    assert paging.DEFAULT_LIMIT == 50  # notifications of one answer


@pytest.mark.seed("S2.96", "S2.99")
def test_messages_are_as_few_as_the_seed_wants() -> None:
    assert 1 / JobProgress.spacing < 10  # a second, to one client of a task's socket
    assert 1 / limits.SOCKET_SECONDS < 10  # to one page, each of what came together
    assert 5 <= 1 / limits.STREAM_SECONDS <= 10  # of one job
    assert reporter.LOOK_SECONDS >= limits.STREAM_SECONDS  # nor is more written
