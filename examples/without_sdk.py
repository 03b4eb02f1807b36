"""Without our SDK: OpenTelemetry's exporter, an instrumentation of the ecosystem, and attributes that say for whom.

pip install openai opentelemetry-sdk opentelemetry-exporter-otlp-proto-http opentelemetry-instrumentation-genai-openai
Where to send is in OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS (docs/exporters.md).
"""

import openai
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "without-sdk"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument()

tracer = trace.get_tracer("app")
client = openai.OpenAI()


def ask(question: str) -> None:
    answer = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": question}]
    )
    print(answer.choices[0].message.content)


def ask_streamed(question: str) -> None:
    for chunk in client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": question}],
        stream=True,
        stream_options={"include_usage": True},
    ):
        print("".join(choice.delta.content or "" for choice in chunk.choices), end="", flush=True)
    print()


# A request takes these from its nearest ancestor that has them.
who = {
    "user.id": "user-4711",
    "session.id": "s-1",
    "tripoint.feature": "order-status",
    "tripoint.tier": "lightweight",
}
with tracer.start_as_current_span("answer", attributes=who):
    ask("Where is my order?")
    ask_streamed("When will it be here?")
provider.shutdown()  # sends what is left
