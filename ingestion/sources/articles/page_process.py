"""Read and judge pages, in processes of their own within limits: a page that eats memory or time ends one.

`python -m ingestion.sources.articles.page_process CONTROL SECONDS MEMORY ENCODER` loads once what that takes,
with the encoder if ENCODER is 1, and forks: each process has all of it at once, and they share its memory.
On the socket CONTROL it is asked, see `frames.REQUEST`: for a process that works on a socket that comes along
(answered by its number), or for the exit code of one, which it waits for.

A process takes pages on its socket, one after the other, see frames.py, and answers each. SECONDS of CPU are
for a page, and MEMORY bytes of address space beside what was loaded. It has no database, no secrets, no
settings.
"""

import gc
import os
import resource
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingestion.encoders import multilingual
from ingestion.errors import SourceError
from ingestion.sources.articles import analysis, frames, page_parser
from ingestion.sources.articles.frames import ANSWER, FORK, REQUEST


@dataclass
class Text:
    """An article as it is judged."""

    title: str
    text: str
    language: str


def main() -> int:
    """Load, and fork as often as asked, until nobody can ask any more."""
    control = socket.socket(fileno=int(sys.argv[1]))
    seconds, memory, encoder = (int(one) for one in sys.argv[2:5])
    _load(encoder=bool(encoder))
    gc.collect()
    gc.freeze()  # what is shared stays so: the collector would write to all of it
    while True:
        asked, given, _, _ = socket.recv_fds(control, REQUEST.size, 1)
        if not asked:
            return 0
        what, number = REQUEST.unpack(asked)
        if what != FORK:
            control.sendall(ANSWER.pack(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])))
            continue
        pid = os.fork()
        if pid == 0:
            control.close()
            _work(socket.socket(fileno=given[0]), seconds, memory)
        os.close(given[0])
        control.sendall(ANSWER.pack(pid))


def _load(*, encoder: bool) -> None:
    """Load the models, beside each other: unpacking one leaves the interpreter to the other."""

    def language() -> None:
        page_parser.language_of("a" * page_parser.LEAST_LANGUAGE)  # by way of a file

    beside = threading.Thread(target=language)
    beside.start()
    if encoder:
        multilingual().encode(["a"])
    beside.join()  # a process that is forked has no thread but one


def _work(asker: socket.socket, seconds: int, memory: int) -> None:
    """Read the pages that come until none does, or until one is too much; then end."""
    code = 1
    try:
        base = _status("VmSize")
        resource.setrlimit(resource.RLIMIT_AS, (base + memory,) * 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it writes no file
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = _answered(asker, seconds, _most_held() + memory // 2)
    finally:
        os._exit(code)  # nothing to tidy up; what a broken page left behind may take long to let go


def _answered(asker: socket.socket, seconds: int, much: int) -> int:
    """Answer until nobody asks. much: bytes that are held when it is time for a new process."""
    while True:
        try:
            asked, content = frames.receive(asker)
        except EOFError:
            return 0
        _more_time(seconds)
        said = _said(asked, content)
        if _most_held() > much:
            if "error" in said:  # parsers find nothing where they get no memory, and say no word of it
                return 1
            said["last"] = True  # what it took is not given back
        frames.send(asker, said)


def _said(asked: dict[str, Any], content: bytes) -> dict[str, Any]:
    """Return what stands in a page, unless it was read before, and what it says of a topic."""
    said: dict[str, Any] = {}
    try:
        if "page" not in asked:
            said["page"] = page_parser.read(content, asked["url"], asked["type"], asked["charset"])
    except SourceError as error:
        return {"error": [error.code, error.message]}
    except MemoryError:
        raise
    except Exception as error:  # whatever a parser raises, this page is what it cannot read
        # A parser may hide that it ran out of memory behind an error of its own.
        if isinstance(error.__context__ or error.__cause__, MemoryError):
            raise MemoryError from error
        return {"error": [page_parser.no_text().code, page_parser.no_text().message]}
    page = asked.get("page") or said["page"]
    if asked.get("topic") and page["title"]:  # one without is given a name by who asks, and judged by it
        try:
            said["told"] = _told(page, asked["topic"])
        except MemoryError:
            raise
        except Exception as error:  # our fault, or the encoder's
            said["fault"] = repr(error)[:500]
    return said


def _told(page: dict[str, Any], topic: dict[str, Any]) -> dict[str, Any]:
    wanted = analysis.Wanted(topic["text"], tuple((pk, folded) for pk, folded in topic["keywords"]))
    text = Text(page["title"], page["text"], page["language"])
    return analysis.judge(text, wanted, compare=topic["compare"]).as_json()


def _most_held() -> int:
    """Return the most bytes of memory that this process held so far."""
    # Elsewhere than on Linux this counts what the one held that started it.
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status(name: str) -> int:
    """Return what the kernel says of this process, in bytes; 0 where it does not."""
    try:
        with Path("/proc/self/status").open("rb") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:".encode()))
    except (OSError, StopIteration):
        return 0


def _more_time(seconds: int) -> None:
    """Allow the next page its seconds. What takes longer is ended by the kernel."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, most))


if __name__ == "__main__":
    os._exit(main())
