"""A made-up company: its applications, the simulated provider that they call, and two weeks of its life.

Nothing here is needed by the product. `apps` are small applications as a user would write them; `provider` speaks
the wire protocols of OpenAI and Anthropic without a model; `workload` says who asks what and when; `drive` runs the
applications over it; `show` prints what Tripoint made of it.
"""
