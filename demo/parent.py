"""What a process of the demo does when the one that started it is gone."""

from __future__ import annotations

import os
import sys
import threading


def end_with_parent(code: int) -> None:
    """End this process with an exit code as soon as standard input ends: whoever started it holds the other end,
    which closes even where that process is killed."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(code)

    threading.Thread(target=wait, daemon=True).start()
