"""The service behind it calls the model and says nothing of users: what the front service said came with the request.

pip install "tripoint[openai]" openai fastapi uvicorn opentelemetry-instrumentation-httpx
uvicorn answers:app --port 8002
"""

import openai
from fastapi import FastAPI
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor

import tripoint

tripoint.init(service="answers")
tripoint.instrument_openai()
# The openai client speaks HTTP too (by httpx2), and this puts headers on its requests. The SDK leaves its words out
# there: no provider of models learns who your users are.
HTTPX2ClientInstrumentor().instrument()

app = FastAPI()
app.add_middleware(tripoint.ASGIMiddleware)
client = openai.AsyncOpenAI()


@app.post("/answer")
async def answer(question: str) -> str:
    stream = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": question}],
        stream=True,
        stream_options={"include_usage": True},
    )
    return "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])
