"""An agent that looks things up: each question is one trace, the whole conversation one session.

pip install "tripoint[openai]" openai
"""

import json
from uuid import uuid4

import openai
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from opentelemetry import trace

import tripoint

tripoint.init(service="order-agent")
tripoint.instrument_openai()

client = openai.OpenAI()
tracer = trace.get_tracer("order-agent")
TOOLS: list[ChatCompletionToolParam] = [
    {
        "type": "function",
        "function": {
            "name": "find_order",
            "description": "Where an order is",
            "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}},
        },
    }
]


def find_order(number: int) -> str:
    return json.dumps({"number": number, "where": "on the ferry"})


def use_tool(name: str, arguments: str) -> str:
    # A span of your own shows the tool in the trace, between the calls to the model.
    said = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    with tracer.start_as_current_span(f"execute_tool {name}", attributes=said):
        return find_order(**json.loads(arguments)) if name == "find_order" else "There is no such tool."


def answer(messages: list[ChatCompletionMessageParam]) -> str | None:
    said = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "order-agent"}
    with tracer.start_as_current_span("invoke_agent order-agent", attributes=said):
        for _ in range(5):
            told = client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS)
            message = told.choices[0].message
            messages.append(message.to_dict())  # type: ignore[arg-type]
            if not message.tool_calls:
                return message.content
            for call in message.tool_calls:
                if call.type == "function":
                    found = use_tool(call.function.name, call.function.arguments)
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": found})
    return "I could not find out."


with tripoint.context(feature="order-agent", user="user-4711", session=str(uuid4()), tier="standard"):
    conversation: list[ChatCompletionMessageParam] = []
    for question in ("Where is my order 7?", "And when will it be here?"):
        conversation.append({"role": "user", "content": question})
        print(answer(conversation))
