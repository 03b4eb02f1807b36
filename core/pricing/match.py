"""Which model of the catalogue a name on the wire means.

The clauses mirror genai-prices 0.2.3 (MIT), including their order, so that our lookups agree with its own; on
top come names that OpenTelemetry instrumentations send and that it does not know. A name found only after
rewriting says so in the steps of its match.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

ClauseKind = Literal["equals", "starts_with", "ends_with", "contains", "regex", "or", "and"]
NameField = Literal["response_model", "request_model"]

# Provider names of the OpenTelemetry conventions and of common clients. They come before the catalogue's own
# clauses, which would read "azure.ai.openai" as OpenAI because it contains that word.
ALIASES: Mapping[str, str] = {
    "azure.ai.openai": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.inference": "azure",
    "azure_openai": "azure",
    "azure-openai": "azure",
    "azureopenai": "azure",
    "azure_ai": "azure",
    "gcp.gen_ai": "google",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "anthropic_vertex": "google",
    "anthropic-vertex": "google",
    "google_anthropic_vertex": "google",
    "anthropic_bedrock": "aws",
    "anthropic-bedrock": "aws",
    "x_ai": "x-ai",
    "fireworks_ai": "fireworks",
    "fireworks-ai": "fireworks",
    "z.ai": "zai",
    "zhipu": "zhipuai",
}

_COMPACT_DATE = re.compile(r"(-)(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
_RESOURCE_PATH = re.compile(r"^(?:models/|(?:projects/[^/]+/locations/[^/]+/)?publishers/[^/]+/models/)")
_SNAPSHOT_SUFFIX = re.compile(r"[-@](?:20\d{6}|20\d{2}-\d{2}-\d{2}|\d{4})")


@dataclass(frozen=True, slots=True)
class Clause:
    """A test on a lower-case name. `text` is lower case except in a regex, which is used as written."""

    kind: ClauseKind
    text: str = ""
    parts: tuple[Clause, ...] = ()


@dataclass(frozen=True, slots=True)
class ProviderMatch:
    """How a provider is recognised, and whose models it sells too. Lower positions are asked first."""

    provider: str
    position: int
    named_by: Clause | None = None
    serves: Clause | None = None
    api_pattern: str = ""
    falls_back_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelMatch:
    """Which names mean this model at this provider. Within a provider, lower positions are asked first."""

    provider: str
    model: str
    position: int
    clause: Clause


@dataclass(frozen=True, slots=True)
class Matched:
    """What the names of a request mean.

    `provider` sends the bill; `priced_as` is whose catalogue holds the model, another one where the provider
    resells. Where `model` is None, `reason` says why. `steps` tell every rewriting, in order.
    """

    provider: str | None = None
    priced_as: str | None = None
    model: str | None = None
    name: str | None = None
    name_field: NameField | None = None
    steps: tuple[str, ...] = ()
    reason: str | None = None


def is_match(clause: Clause, text: str) -> bool:
    """Whether the clause holds for `text`, which must be lower case."""
    match clause.kind:
        case "equals":
            return text == clause.text
        case "starts_with":
            return text.startswith(clause.text)
        case "ends_with":
            return text.endswith(clause.text)
        case "contains":
            return clause.text in text
        case "regex":
            return re.search(clause.text, text) is not None
        case "or":
            return any(is_match(part, text) for part in clause.parts)
        case "and":
            return all(is_match(part, text) for part in clause.parts)


@dataclass(frozen=True)
class Matcher:
    """Finds provider and model by the catalogue's clauses; linear in their number, so callers cache."""

    providers: tuple[ProviderMatch, ...]
    models: tuple[ModelMatch, ...]
    _provider: Mapping[str, ProviderMatch] = field(init=False, repr=False, compare=False)
    _models: Mapping[str, Sequence[ModelMatch]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ordered = sorted(self.providers, key=lambda provider: provider.position)
        grouped: dict[str, list[ModelMatch]] = {}
        for model in sorted(self.models, key=lambda model: (model.provider, model.position)):
            grouped.setdefault(model.provider, []).append(model)
        object.__setattr__(self, "_provider", {provider.provider: provider for provider in ordered})
        object.__setattr__(self, "_models", grouped)

    def resolve(
        self,
        provider: str | None,
        server_address: str | None,
        response_model: str | None,
        request_model: str | None,
    ) -> Matched:
        """The model that answered: by its own name, else by the requested one where no other answered."""
        response, request = _clean(response_model), _clean(request_model)
        if not response and not request:
            return Matched(reason="no_model")
        seller, steps = self._seller(provider, server_address)
        if seller is None and provider and _clean(provider) != "litellm":
            return Matched(name=response or request, reason="unknown_provider", steps=steps)
        name_field: NameField = "response_model" if response else "request_model"
        found = self._resolve_name(seller, response or request, name_field, steps)
        if found.model is None and _is_snapshot_of(response, request):
            steps += (f"answered by {response}, a dated snapshot of the requested {request}",)
            return self._resolve_name(seller, request, "request_model", steps)
        return found

    def provider_named(self, name: str) -> str | None:
        """The provider of that id, alias or naming clause."""
        name = _clean(name)
        if name in self._provider:
            return name
        if (alias := ALIASES.get(name)) in self._provider:
            return alias
        for provider in self._provider.values():
            if provider.named_by is not None and is_match(provider.named_by, name):
                return provider.provider
        return None

    def provider_at(self, address: str) -> str | None:
        """The provider whose API lives at that host or URL."""
        url = address if "://" in address else f"https://{address}"
        for provider in self._provider.values():
            if provider.api_pattern and re.match(provider.api_pattern, url):
                return provider.provider
        return None

    def _seller(self, name: str | None, address: str | None) -> tuple[str | None, tuple[str, ...]]:
        # A client library names its own flavour ("openai") whatever host it talks to; the host sends the
        # bill.
        at = self.provider_at(address) if address else None
        named = self.provider_named(name) if name else None
        if at is not None and at != named:
            return at, (f"provider {at} by the server address {address}",)
        return named, ()

    def _resolve_name(
        self, seller: str | None, name: str, name_field: NameField, steps: tuple[str, ...]
    ) -> Matched:
        found = self._infer(name) if seller is None else self._find(seller, name)
        if found is None:
            prefix, slash, _ = name.partition("/")
            told = seller or self._sellers_of(name) or (slash and self.provider_named(prefix))
            reason = "unknown_model" if told else "unknown_provider"
            return Matched(provider=seller, name=name, name_field=name_field, steps=steps, reason=reason)
        provider, match, more = found
        return Matched(provider, match.provider, match.model, name, name_field, steps + more)

    def _find(self, provider: str, name: str) -> tuple[str, ModelMatch, tuple[str, ...]] | None:
        for form, steps in self._forms(provider, name):
            for owner in (provider, *self._provider[provider].falls_back_to):
                if (match := self._own(owner, form)) is not None:
                    more = () if owner == provider else (f"{provider} sells a model of {owner}",)
                    return provider, match, steps + more
        return None

    def _forms(self, provider: str, name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The name itself, then its rewritings, each from the least to the most changed."""
        yield name, ()
        dashed = _dash_compact_date(name)
        if dashed != name:
            yield dashed, (f"{name} read as {dashed}",)
        bare = _RESOURCE_PATH.sub("", name)
        prefix, slash, rest = name.partition("/")
        if bare == name and slash and self.provider_named(prefix) == provider:
            bare = rest
        if bare != name:
            yield bare, (f"{name} read as {bare}",)
            dashed = _dash_compact_date(bare)
            if dashed != bare:
                yield dashed, (f"{name} read as {dashed}",)

    def _own(self, provider: str, name: str) -> ModelMatch | None:
        for model in self._models.get(provider, ()):
            if is_match(model.clause, name):
                return model
        return None

    def _infer(self, name: str) -> tuple[str, ModelMatch, tuple[str, ...]] | None:
        """Provider and model by the model's name alone, or None where the catalogue leaves a choice."""
        prefix, slash, rest = name.partition("/")
        if slash and (named := self.provider_named(prefix)) and (found := self._find(named, rest)):
            return found[0], found[1], (f"provider {named} by the prefix {prefix}/", *found[2])
        sellers = self._sellers_of(name)
        if len(sellers) == 1 and (found := self._find(sellers[0], name)):
            return found[0], found[1], (f"provider {sellers[0]} by the model's name", *found[2])
        owners = [p for p in self._provider if self._own(p, name) is not None]
        # A reseller lists models of the maker it falls back to; the maker is meant unless the reseller is
        # named.
        owners = [p for p in owners if not set(self._provider[p].falls_back_to) & set(owners)]
        if len(sellers) <= 1 and len(owners) == 1 and (match := self._own(owners[0], name)):
            return owners[0], match, (f"provider {owners[0]}, the only one with this model",)
        return None

    def _sellers_of(self, name: str) -> list[str]:
        return [
            p.provider for p in self._provider.values() if p.serves is not None and is_match(p.serves, name)
        ]


def clause_to_json(clause: Clause | None) -> dict[str, Any] | None:
    """{'equals': 'gpt-4o'} or {'or': [...]}: the notation of the genai-prices data files."""
    if clause is None:
        return None
    if clause.kind in ("or", "and"):
        return {clause.kind: [clause_to_json(part) for part in clause.parts]}
    return {clause.kind: clause.text}


def clause_from_json(value: Mapping[str, Any] | None) -> Clause | None:
    """The clause that `clause_to_json` wrote."""
    return None if value is None else _clause(value)


def provider_to_json(provider: ProviderMatch) -> dict[str, Any]:
    """Plain JSON values that `provider_from_json` turns back into an equal value."""
    return {
        "provider": provider.provider,
        "position": provider.position,
        "named_by": clause_to_json(provider.named_by),
        "serves": clause_to_json(provider.serves),
        "api_pattern": provider.api_pattern,
        "falls_back_to": list(provider.falls_back_to),
    }


def provider_from_json(value: Mapping[str, Any]) -> ProviderMatch:
    """The value that `provider_to_json` wrote."""
    return ProviderMatch(
        provider=value["provider"],
        position=value["position"],
        named_by=clause_from_json(value["named_by"]),
        serves=clause_from_json(value["serves"]),
        api_pattern=value["api_pattern"],
        falls_back_to=tuple(value["falls_back_to"]),
    )


def model_to_json(model: ModelMatch) -> dict[str, Any]:
    """Plain JSON values that `model_from_json` turns back into an equal value."""
    return {
        "provider": model.provider,
        "model": model.model,
        "position": model.position,
        "clause": clause_to_json(model.clause),
    }


def model_from_json(value: Mapping[str, Any]) -> ModelMatch:
    """The value that `model_to_json` wrote."""
    return ModelMatch(value["provider"], value["model"], value["position"], _clause(value["clause"]))


def _clause(value: Mapping[str, Any]) -> Clause:
    ((kind, content),) = value.items()
    match kind:
        case "or" | "and":
            return Clause(kind, parts=tuple(_clause(part) for part in content))
        case "equals" | "starts_with" | "ends_with" | "contains" | "regex":
            return Clause(kind, content)
        case _:
            raise ValueError(f"no such clause: {kind}")


def _clean(name: str | None) -> str:
    return name.strip().lower() if name else ""


def _dash_compact_date(name: str) -> str:
    """-20251211 as -2025-12-11: gateways write the one, the catalogue the other. Impossible dates stay."""

    def dashed(found: re.Match[str]) -> str:
        year, month, day = (int(part) for part in found.group(2, 3, 4))
        try:
            return f"-{date(year, month, day).isoformat()}"
        except ValueError:
            return found.group(0)

    return _COMPACT_DATE.sub(dashed, name)


def _is_snapshot_of(response: str, request: str) -> bool:
    # Only a bare date may differ: "gpt-5-mini" answers to "gpt-5" in a cascade and costs something else.
    return bool(
        request
        and response.startswith(request)
        and _SNAPSHOT_SUFFIX.fullmatch(response, len(request)) is not None
    )
