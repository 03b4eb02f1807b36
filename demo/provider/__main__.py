"""`python -m demo.provider`: the simulated provider in a process of its own; prints its address as one line."""

from __future__ import annotations

import argparse

import uvicorn

from demo.parent import end_with_parent
from demo.provider.app import create_provider
from demo.provider.run import address, listening


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.provider", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=0, help="port on 127.0.0.1; 0 is any free one (the default)"
    )
    parser.add_argument(
        "--wait", type=float, default=1.0, help="1 waits as a provider would (the default), 0 answers at once"
    )
    parser.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    given = parser.parse_args()
    if given.until_eof:
        end_with_parent(0)
    with listening(given.port) as listener:
        print(address(listener), flush=True)
        config = uvicorn.Config(
            create_provider(given.wait), log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
