"""The encoder that comes with us: the same vector in every process, whatever the machine."""

import os

import pytest

from tests.encoding import KERNELS, vectors_elsewhere

TEXT = "The ferry crosses the river every twenty minutes, and the passengers of the morning are glad of it. "


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor: nothing is shared out")
def test_a_text_has_the_same_vector_however_many_threads_the_process_may_use():
    alone, two = (
        vectors_elsewhere([TEXT * 20, "Die Fähre", ""], OPENBLAS_NUM_THREADS=threads, **KERNELS)
        for threads in ("1", "2")
    )
    assert len(alone) == 3 and two == alone
