"""A plain script: says who asks, then calls OpenAI and Anthropic, at once and streamed.

pip install "tripoint[openai,anthropic]" openai anthropic
"""

import anthropic
import openai

import tripoint

# The set-up: where to send (from TRIPOINT_ENDPOINT and TRIPOINT_KEY), and one line for each client.
tripoint.init(service="plain-script")
tripoint.instrument_openai()
tripoint.instrument_anthropic()

QUESTION = "Where is my order?"


def ask_openai() -> None:
    client = openai.OpenAI()
    answer = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": QUESTION}]
    )
    print(answer.choices[0].message.content)

    # OpenAI counts the tokens of a stream only where it is asked to.
    stream = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
    print()


def ask_anthropic() -> None:
    client = anthropic.Anthropic()
    answer = client.messages.create(
        model="claude-haiku-4-5", max_tokens=200, messages=[{"role": "user", "content": QUESTION}]
    )
    print("".join(block.text for block in answer.content if block.type == "text"))

    with client.messages.stream(
        model="claude-haiku-4-5", max_tokens=200, messages=[{"role": "user", "content": QUESTION}]
    ) as stream:
        for text in stream.text_stream:
            print(text, end="", flush=True)
    print()


with tripoint.context(feature="order-status", user="user-4711", tier="lightweight"):
    ask_openai()
    ask_anthropic()
# What is left is sent at the exit of the process.
