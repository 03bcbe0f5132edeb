"""What the seed names as its settings holds where nobody sets anything else."""

import pytest

from config import paging
from ingestion import admission, keeper
from ingestion.source import get
from ingestion.sources.articles import source


@pytest.mark.seed("S2.87", "S2.88", "S2.89", "S2.90", "S2.91")
def test_the_defaults_are_those_of_the_seed() -> None:
    assert get("bulk_analysis").limit == 3  # at once; the fourth waits and says so
    assert keeper.PRUNE_SECONDS == 3600
    assert admission.MAX_QUEUED_PER_USER == 100  # of one source
    assert source.THREADS == 3  # pages that a job reads at once
    assert paging.DEFAULT_LIMIT == 50  # notifications of one answer
