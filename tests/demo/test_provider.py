"""The simulated provider, asked by the real clients."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from demo.provider import Provider, running_provider

QUESTION: Any = [{"role": "user", "content": "Where is my parcel?"}]
OPENAI_TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "find_parcel",
            "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}},
        },
    }
]
ANTHROPIC_TOOLS: Any = [{"name": "find_parcel", "input_schema": OPENAI_TOOLS[0]["function"]["parameters"]}]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider(wait=0) as found:
        yield found


@pytest.fixture
def gpt(provider: Provider) -> openai.OpenAI:
    return openai.OpenAI(base_url=provider.openai_url, api_key="sk-any")


@pytest.fixture
def claude(provider: Provider) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=provider.url, api_key="sk-any")


def simulate(**asked: object) -> dict[str, str]:
    return {"x-simulate": json.dumps(asked)}


def test_a_chat_completion_answers_under_the_snapshot_and_says_that_it_is_simulated(
    gpt: openai.OpenAI,
) -> None:
    raw = gpt.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=QUESTION)
    answer = raw.parse()
    assert raw.headers["x-simulated-provider"] == "tripoint" and answer._request_id
    assert answer.model == "gpt-4o-mini-2024-07-18" and answer.system_fingerprint == "fp_tripoint_simulated"
    text = answer.choices[0].message.content
    assert text and "simulated answer" in text and answer.usage
    # 19 characters are 5 tokens, and 4 more for the message.
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, (len(text) + 3) // 4)


def test_the_same_question_gets_the_same_words_under_another_id(gpt: openai.OpenAI) -> None:
    a, b = (gpt.chat.completions.create(model="gpt-4o", messages=QUESTION) for _ in range(2))
    assert a.choices[0].message.content == b.choices[0].message.content and a.id != b.id


def test_the_numbers_asked_for_are_the_numbers_told(gpt: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    asked = simulate(
        input_tokens=2048, cache_read_tokens=1792, output_tokens=310, reasoning_tokens=256, id="abc"
    )
    chat = gpt.chat.completions.create(model="o3", messages=QUESTION, extra_headers=asked)
    assert chat.id == "chatcmpl-abc" and chat.usage
    assert chat.usage.prompt_tokens_details and chat.usage.completion_tokens_details
    assert (chat.usage.prompt_tokens, chat.usage.prompt_tokens_details.cached_tokens) == (2048, 1792)
    assert (chat.usage.completion_tokens, chat.usage.completion_tokens_details.reasoning_tokens) == (310, 256)
    response = gpt.responses.create(model="o3", input="Why?", extra_headers=asked)
    assert response.usage and response.output_text
    assert (response.usage.input_tokens, response.usage.input_tokens_details.cached_tokens) == (2048, 1792)
    asked = simulate(input_tokens=2000, cache_read_tokens=1500, cache_write_tokens=300, output_tokens=25)
    message = claude.messages.create(
        model="claude-haiku-4-5", max_tokens=99, messages=QUESTION, extra_headers=asked
    )
    usage = message.usage
    # Anthropic's input does not hold what was read from or written to the cache.
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (
        200,
        1500,
        300,
    )
    assert usage.output_tokens == 25


def test_a_chat_stream_tells_usage_only_where_it_is_asked_for(gpt: openai.OpenAI) -> None:
    whole = gpt.chat.completions.create(model="gpt-4o", messages=QUESTION)
    for options, told in (({"include_usage": True}, whole.usage), (None, None)):
        stream: Any = gpt.chat.completions.create(
            model="gpt-4o", messages=QUESTION, stream=True, **({"stream_options": options} if options else {})
        )
        chunks = list(stream)
        assert chunks[0].choices[0].delta.role == "assistant" and not chunks[0].choices[0].delta.content
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == whole.choices[0].message.content
        assert [c.usage for c in chunks if c.usage] == ([told] if told else [])


def test_the_helpers_for_streams_read_every_wire(gpt: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    with gpt.chat.completions.stream(model="gpt-4o", messages=QUESTION) as chat:
        assert "simulated" in str(chat.get_final_completion().choices[0].message.content)
    with gpt.responses.stream(model="gpt-4.1", input="Why?") as stream:
        final = stream.get_final_response()
    assert "simulated" in final.output_text and final.usage and final.usage.output_tokens > 5
    with claude.messages.stream(model="claude-sonnet-4-5", max_tokens=99, messages=QUESTION) as messages:
        assert "simulated" in "".join(messages.text_stream)
        assert messages.get_final_message().usage.output_tokens > 5


def test_a_tool_is_called_once_and_then_comes_the_answer(
    gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    for stream in (False, True):
        if stream:
            with gpt.chat.completions.stream(model="gpt-4o", messages=QUESTION, tools=OPENAI_TOOLS) as chat:
                first: Any = chat.get_final_completion().choices[0]
        else:
            first = gpt.chat.completions.create(
                model="gpt-4o", messages=QUESTION, tools=OPENAI_TOOLS
            ).choices[0]
        (call,) = first.message.tool_calls
        assert first.finish_reason == "tool_calls"
        assert (call.function.name, json.loads(call.function.arguments)) == ("find_parcel", {"number": 1})
    told: Any = [*QUESTION, first.message, {"role": "tool", "tool_call_id": call.id, "content": "In Lyon."}]
    last = gpt.chat.completions.create(model="gpt-4o", messages=told, tools=OPENAI_TOOLS).choices[0]
    assert last.finish_reason == "stop" and last.message.content
    question: Any = {"model": "claude-opus-4-1", "max_tokens": 99, "tools": ANTHROPIC_TOOLS}
    plain = claude.messages.create(messages=QUESTION, **question)
    with claude.messages.stream(messages=QUESTION, **question) as messages:
        streamed = messages.get_final_message()
    for message in (plain, streamed):
        (block,) = message.content
        assert message.stop_reason == "tool_use" and block.type == "tool_use" and block.input == {"number": 1}
    result = {"type": "tool_result", "tool_use_id": block.id, "content": "In Lyon."}
    told = [*QUESTION, {"role": "assistant", "content": plain.content}, {"role": "user", "content": [result]}]
    assert claude.messages.create(messages=told, **question).stop_reason == "end_turn"
    function: Any = {"type": "function", **OPENAI_TOOLS[0]["function"], "strict": False}
    response = gpt.responses.create(model="gpt-4.1", input="Where?", tools=[function])
    assert response.output[0].type == "function_call"


def test_the_clients_own_retries_see_the_failures_through(
    provider: Provider, gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    before = len(provider.log())
    asked = simulate(fail=[429, 500])
    assert gpt.chat.completions.create(model="gpt-4o", messages=QUESTION, extra_headers=asked).choices
    assert claude.messages.create(
        model="claude-opus-4-1", max_tokens=9, messages=QUESTION, extra_headers=asked
    ).content
    assert [(s.status, s.attempt) for s in provider.log()[before:]] == 2 * [(429, 0), (500, 1), (200, 2)]


@pytest.mark.parametrize(
    ("status", "gpt_error", "claude_error"),
    [
        (400, openai.BadRequestError, anthropic.BadRequestError),
        (401, openai.AuthenticationError, anthropic.AuthenticationError),
        (429, openai.RateLimitError, anthropic.RateLimitError),
        (500, openai.InternalServerError, anthropic.InternalServerError),
    ],
)
def test_an_error_has_the_shape_of_the_provider(
    provider: Provider,
    status: int,
    gpt_error: type[openai.APIStatusError],
    claude_error: type[anthropic.APIStatusError],
) -> None:
    asked = simulate(fail=[status], retry_after_s=7)
    gpt = openai.OpenAI(base_url=provider.openai_url, api_key="sk-any", max_retries=0)
    with pytest.raises(gpt_error) as told:
        gpt.chat.completions.create(model="gpt-4o", messages=QUESTION, extra_headers=asked)
    assert told.value.type and told.value.request_id
    assert told.value.response.headers.get("retry-after") == ("7" if status == 429 else None)
    claude = anthropic.Anthropic(base_url=provider.url, api_key="sk-any", max_retries=0)
    with pytest.raises(claude_error) as refused:
        claude.messages.create(model="claude-opus-4-1", max_tokens=9, messages=QUESTION, extra_headers=asked)
    assert refused.value.type and refused.value.request_id


def test_a_wrong_key_and_a_wrong_request_are_refused(provider: Provider) -> None:
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=provider.openai_url, api_key="wrong-key").responses.create(
            model="o3", input="x"
        )
    gpt = openai.OpenAI(base_url=provider.openai_url, api_key="sk-any")
    with pytest.raises(openai.BadRequestError, match="ttft"):
        gpt.responses.create(model="o3", input="x", extra_headers={"x-simulate": '{"ttft": 1}'})
    with pytest.raises(openai.NotFoundError):
        gpt.models.list()


def test_a_stream_can_break_in_the_middle(gpt: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    asked = simulate(break_stream=True)
    with pytest.raises(openai.APIError, match="simulated"):
        for _ in gpt.chat.completions.create(
            model="gpt-4o", messages=QUESTION, stream=True, extra_headers=asked
        ):
            pass
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        for _ in claude.messages.create(
            model="claude-opus-4-1", max_tokens=9, messages=QUESTION, stream=True, extra_headers=asked
        ):
            pass


def test_embeddings_are_the_same_for_the_same_text(gpt: openai.OpenAI) -> None:
    found = gpt.embeddings.create(
        model="text-embedding-3-small", input=["a", "a", "b"], encoding_format="float"
    )
    assert found.data[0].embedding == found.data[1].embedding != found.data[2].embedding
    assert found.usage.prompt_tokens == 3


def test_asynchronous_clients_are_answered_alike(provider: Provider) -> None:
    async def ask() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=provider.openai_url, api_key="sk-any") as gpt:
            stream = await gpt.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True)
            chat = "".join([c.choices[0].delta.content or "" async for c in stream])
        async with (
            anthropic.AsyncAnthropic(base_url=provider.url, api_key="sk-any") as claude,
            claude.messages.stream(model="claude-opus-4-1", max_tokens=9, messages=QUESTION) as messages,
        ):
            return chat, await messages.get_final_text()

    chat, message = asyncio.run(ask())
    assert "simulated" in chat and "simulated" in message


def test_it_waits_as_long_as_it_is_asked_to(provider: Provider) -> None:
    with running_provider(wait=1) as slow:
        gpt = openai.OpenAI(base_url=slow.openai_url, api_key="sk-any")
        asked = simulate(ttft_ms=80, total_ms=160)
        list(gpt.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True, extra_headers=asked))
        gpt.chat.completions.create(model="gpt-4o", messages=QUESTION, extra_headers=asked)
        stream, whole = slow.log()
    assert stream.first_output_s and stream.first_output_s > 0.075
    assert stream.ended_s and stream.ended_s > 0.155 and whole.ended_s and whole.ended_s > 0.155


def test_started_by_hand_it_prints_its_address_and_ends_with_its_input() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "demo.provider", "--port", "0", "--wait", "0", "--until-eof"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    ) as process:
        assert process.stdout and process.stdin
        url = process.stdout.readline().strip()
        gpt = openai.OpenAI(base_url=f"{url}/v1", api_key="sk-any")
        assert gpt.responses.create(model="o3", input="x").output_text
        process.stdin.close()
        assert process.wait(10) == 0
