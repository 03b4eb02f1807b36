"""A FastAPI application: the user of each request, the feature of each page, and which tier a question went to.

pip install "tripoint[openai,anthropic]" openai anthropic fastapi uvicorn
uvicorn fastapi_app:app
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import anthropic
import openai
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

import tripoint

tripoint.init(service="fastapi-app")
tripoint.instrument_openai()
tripoint.instrument_anthropic()

app = FastAPI()
gpt, claude = openai.AsyncOpenAI(), anthropic.AsyncAnthropic()


@app.middleware("http")
async def says_who_asks(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    # Yours is the user of the session or of the token.
    with tripoint.context(user=request.headers.get("x-user"), session=request.headers.get("x-session")):
        return await go_on(request)


# Added last, so it comes first: goes on where the caller was, if that is a service of yours.
app.add_middleware(tripoint.ASGIMiddleware)


@app.post("/chat")
@tripoint.context(feature="support-chat")
async def chat(question: str) -> str | None:
    if len(question) < 50:
        with tripoint.route("lightweight", router="by-length", version="1", reason="short question"):
            cheap = await gpt.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": question}]
            )
            return cheap.choices[0].message.content
    with tripoint.route("premium", router="by-length", version="1", reason="long question"):
        good = await claude.messages.create(
            model="claude-sonnet-5", max_tokens=300, messages=[{"role": "user", "content": question}]
        )
        return "".join(block.text for block in good.content if block.type == "text")


@app.post("/summary")
async def summary(text: str) -> StreamingResponse:
    return StreamingResponse(summarise(text), media_type="text/plain")


@tripoint.context(feature="summaries", tier="lightweight")
async def summarise(text: str) -> AsyncIterator[str]:
    async with claude.messages.stream(
        model="claude-haiku-4-5", max_tokens=300, messages=[{"role": "user", "content": f"Summarise: {text}"}]
    ) as stream:
        async for part in stream.text_stream:
            yield part
