"""A process that reads documents as none should: KIND says how. Run in place of the real one."""

import json
import os
import sys
import time

LONG = "Cobalt is audited. " * 20_000


def main() -> None:
    """Say something, then go on in an odd way."""
    how = sys.argv[1]
    if how == "text":  # in pieces that end anywhere
        said = [{"facts": {"pages": None, "title": "", "notes": []}}]
        said += [{"block": {"text": f"{n} {LONG}", "page": n, "heading": ""}} for n in (1, 2)]
        data = "".join(json.dumps(one) + "\n" for one in [*said, {"end": True}]).encode()
        for start in range(0, len(data), 7919):
            os.write(1, data[start : start + 7919])
        return
    os.write(1, b'{"facts": {"pages": 1, "title": "", "notes": []}}\n')
    if how == "html":  # leaves without a word
        return
    if how == "markdown":  # stays, and is deaf to the end of its pipe
        os.close(1)
        os.close(2)  # it is the same pipe
    time.sleep(600)  # pdf: stays, and says no more


if __name__ == "__main__":
    main()
