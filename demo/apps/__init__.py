"""The made-up company's applications, written as any application would be: the real `openai` and `anthropic` clients,
and the words of `tripoint` around their calls. Nothing in here knows that the provider is simulated."""
