"""Start a child process that cannot outlive the process that started it."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
# Loaded here because a forked child must not search for libraries.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def start(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    user: pwd.struct_passwd | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    output: int | IO[Any] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in its own session, ended by `death_signal` when this process dies.

    Call it from the main thread: the kernel ties the signal to the thread that forked, not to the process.
    user: run the child as this user (only root may).
    output: where stdout and stderr go together; None leaves them as they are.
    """
    parent = os.getpid()

    def prepare() -> None:
        if user is not None:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        if _libc is not None:
            # After the change of user: the kernel forgets the death signal when the user changes.
            _libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:  # the parent died before the line above
                os._exit(1)

    return subprocess.Popen(
        [str(part) for part in command],
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=prepare,
        cwd=cwd,
    )


def stop(child: subprocess.Popen[bytes], first: signal.Signals, seconds: float) -> None:
    """End a child: `first`, then SIGKILL after `seconds`."""
    if child.poll() is None:
        child.send_signal(first)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
