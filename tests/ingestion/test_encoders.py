"""The encoder that comes with us: the same vector in every process, whatever the machine."""

import os
import subprocess
import sys

import pytest

from config.settings import BASE_DIR

PROGRAM = """
from ingestion.encoders import multilingual
text = "The ferry crosses the river every twenty minutes, and the passengers of the morning are glad of it. "
print(*(row.tobytes().hex() for row in multilingual().encode([text * 20, "Die Fähre", ""])))
"""


def vectors(threads: str) -> list[str]:
    # Some kernels of OpenBLAS share a product out among threads so that its last bits differ; this one does,
    # and every x86-64 can run it. Where the name is not known, the library takes its own choice.
    told = {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": threads}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **told},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor: nothing is shared out")
def test_a_text_has_the_same_vector_however_many_threads_the_process_may_use():
    alone = vectors("1")
    assert len(alone) == 3 and vectors("2") == alone
