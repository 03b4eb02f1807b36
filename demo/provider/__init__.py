"""A simulated provider: speaks the wire protocols of OpenAI and Anthropic, and answers by rule, without a model.

`python -m demo.provider --port 0` starts it by hand and prints its address; `running_provider()` runs it in a
thread. `docs/simulated-provider.md` says what it can be asked for.
"""

from demo.provider.app import Served, create_provider
from demo.provider.run import Provider, running_provider

__all__ = ["Provider", "Served", "create_provider", "running_provider"]
