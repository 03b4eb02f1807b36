"""Four streams at once, two of each provider, for two users; a decorator says the tier.

pip install "tripoint[openai,anthropic]" openai anthropic
"""

import asyncio

import anthropic
import openai

import tripoint

tripoint.init(service="async-streaming")
tripoint.instrument_openai()
tripoint.instrument_anthropic()

gpt, claude = openai.AsyncOpenAI(), anthropic.AsyncAnthropic()


@tripoint.context(tier="lightweight")
async def summary(text: str) -> str:
    stream = await gpt.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": f"Summarise: {text}"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    return "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])


@tripoint.context(tier="premium")
async def review(text: str) -> str:
    async with claude.messages.stream(
        model="claude-sonnet-5",
        max_tokens=300,
        messages=[{"role": "user", "content": f"What is wrong with this? {text}"}],
    ) as stream:
        return "".join([part async for part in stream.text_stream])


async def read(user: str, text: str) -> None:
    # Tasks that run at the same time do not see each other's words.
    with tripoint.context(feature="reading-room", user=user):
        for answer in await asyncio.gather(summary(text), review(text)):
            print(f"{user}: {answer}")


async def main() -> None:
    await asyncio.gather(
        read("ada", "The order was sent on Monday."),
        read("grace", "The parcel came back on Friday."),
    )


asyncio.run(main())
