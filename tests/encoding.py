"""Vectors of texts as a process of its own makes them, in an environment that the test chooses."""

import json
import os
import subprocess
import sys

from config.settings import BASE_DIR

PROGRAM = """
import json, sys
from ingestion.encoders import multilingual
print(*(row.tobytes().hex() for row in multilingual().encode(json.loads(sys.argv[1]))))
"""

# Each x86-64 can run this kernel of OpenBLAS, and none takes it of itself; its last bits differ from those of
# others and with the number of threads. Where the name is not known, the library takes its own choice.
KERNEL = {"OPENBLAS_CORETYPE": "Prescott"}


def vectors_elsewhere(texts: list[str], **environment: str) -> list[str]:
    """Return the vector of each text in hexadecimal digits."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(texts)],
        env={**os.environ, **environment},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()
