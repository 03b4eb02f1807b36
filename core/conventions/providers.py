"""One spelling for each provider, the well-known value of the OpenTelemetry conventions where it has one."""

from __future__ import annotations

_SPELLINGS = {
    "openai": (),
    "anthropic": (),
    "azure.ai.openai": ("azure", "azure_openai", "azure-openai", "az.ai.openai"),
    "azure.ai.inference": ("az.ai.inference", "azure_ai_inference"),
    "gcp.vertex_ai": ("vertex_ai", "vertexai", "vertex", "google-vertex"),
    "gcp.gemini": ("gemini", "google", "googleai", "google_genai", "google.generative-ai"),
    "gcp.gen_ai": ("gcp.gen.ai",),
    "aws.bedrock": ("aws", "amazon", "bedrock", "aws_bedrock", "amazon-bedrock"),
    "mistral_ai": ("mistral", "mistralai"),
    "x_ai": ("xai", "x-ai", "grok"),
    "cohere": ("cohere_chat",),
    "deepseek": (),
    "groq": (),
    "perplexity": (),
    "ibm.watsonx.ai": ("watsonx", "ibm"),
}
_CANONICAL = {
    spelling: provider for provider, others in _SPELLINGS.items() for spelling in (provider, *others)
}
_MODELS = (
    (("gpt-", "chatgpt-", "o1", "o3", "o4", "text-embedding-", "dall-e", "whisper-", "tts-"), "openai"),
    (("claude-",), "anthropic"),
    (("gemini-",), "gcp.gemini"),
    (("mistral-", "codestral-", "ministral-", "magistral-"), "mistral_ai"),
    (("deepseek-",), "deepseek"),
    (("grok-",), "x_ai"),
    (("command-",), "cohere"),
)


def provider_of(name: str | None, model: str | None) -> str | None:
    """The provider under one spelling; inferred from the model only where nobody named one.

    `openai.chat` and `anthropic.messages` name an API of a provider; their first word is the provider.
    """
    if name is None:
        return _provider_of_model(model.lower()) if model else None
    name = name.lower()
    known = _CANONICAL.get(name)
    if known is None:
        known = _CANONICAL.get(name.partition(".")[0])
    return known or name


def _provider_of_model(model: str) -> str | None:
    return next((provider for starts, provider in _MODELS if model.startswith(starts)), None)
