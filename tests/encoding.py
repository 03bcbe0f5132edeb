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

# Each x86-64 can run these kernels, and hardly one takes them of itself; their last bits differ from those of
# others, and with the number of threads. Where the names are not known, the libraries take their own choice.
KERNELS = {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4"}


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
