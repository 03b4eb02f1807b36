"""The front service knows who asks and what for. It says so once, and asks the other service for the answer.

pip install tripoint fastapi uvicorn httpx opentelemetry-instrumentation-httpx
ANSWERS_URL=http://127.0.0.1:8002 uvicorn front:app --port 8001
"""

import os

import httpx
from fastapi import FastAPI
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

import tripoint

tripoint.init(service="front")
# Puts the trace and the words of `context` on every request of httpx, as W3C Baggage. Without it:
# http.post(url, headers=tripoint.inject({})).
HTTPXClientInstrumentor().instrument()

app = FastAPI()
http = httpx.AsyncClient(base_url=os.environ.get("ANSWERS_URL", "http://127.0.0.1:8002"), timeout=60)


@app.post("/ask")
async def ask(question: str, user: str) -> str:
    with tripoint.context(feature="help-desk", user=user, tenant="acme", tier="standard"):
        answer = await http.post("/answer", params={"question": question})
    return str(answer.raise_for_status().json())
