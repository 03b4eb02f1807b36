"""Become another program that the kernel ends when its parent ends.

    python -I -S die_with_parent.py PARENT_PID SIGNAL UID GID PROGRAM ARGUMENT…

A program of its own rather than a `preexec_fn`: that would run Python between fork and exec of a process
which may have threads, where a lock held by another thread never opens again. It imports the standard library
only, and all of it before it gives up root: afterwards the interpreter's files may be out of reach.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

STAY = -1
"""In place of a uid or gid: keep the one we have."""

_PR_SET_PDEATHSIG = 1


def set_death_signal(number: int) -> None:
    """From now on the kernel sends this process `number` when the thread that forked it ends. Lost at the
    next change of uid, kept across exec, not inherited by children. Does nothing outside Linux."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def _forget_signals() -> None:
    """Ignored and blocked signals survive exec: a supervisor started with `&` would have deaf children."""
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGPIPE,
        signal.SIGXFSZ,
    ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _drop_root(uid: int, gid: int) -> None:
    if uid == STAY:
        return
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def main(arguments: list[str]) -> None:
    parent, number, uid, gid = (int(text) for text in arguments[:4])
    program = arguments[4:]
    os.umask(0o077)
    _forget_signals()
    try:
        _drop_root(uid, gid)
        set_death_signal(number)
        # A parent that ended before the line above will never send the signal.
        if os.getppid() != parent:
            sys.exit(1)
        os.execv(program[0], program)
    except OSError as error:
        sys.exit(f"cannot run {program[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
