"""One supervisor for one data folder."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from core.errors import SetupError


class DataLock:
    """While it is held, no other process holds it, and who holds it can be read in the file.

    The kernel releases it when the holder ends in any way. The file stays: to delete it would let two
    processes lock two files of the same name."""

    def __init__(self, file: Path, data: Path) -> None:
        self._file = file
        self._data = data
        self._descriptor = -1

    def __enter__(self) -> Self:
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 4096)
            os.close(descriptor)
            raise SetupError(_refusal(self._data, holder)) from None
        self._descriptor = descriptor
        self.announce(None)
        return self

    def announce(self, url: str | None) -> None:
        """Tells a second start where the first one answers."""
        text = json.dumps({"pid": os.getpid(), "url": url}).encode()
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def _refusal(data: Path, holder: bytes) -> str:
    try:
        known = json.loads(holder)
    except ValueError:
        known = {}
    pid, url = known.get("pid"), known.get("url")
    who = f"process {pid}" if pid else "another process"
    where = f", and answers at {url}" if url else ""
    return (
        f"Tripoint already runs on the data folder {data} ({who}{where}). "
        "Stop it first, or choose another folder with --data."
    )
