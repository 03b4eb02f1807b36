"""Scripts that end at once, forks, workers and frameworks, each in a process of its own against a real collector."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port
from tests.sdk.sink import Reply, Sink, running

SOURCE = Path(__file__).resolve().parents[2] / "sdk" / "src"
START = "import os, sys, time, tripoint\ntripoint.init(service='shop')\n"
CALL = "with tripoint.llm_call('m', provider='p') as call: call.usage(input_tokens=1)\n"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running(Sink()) as sink:
        yield sink


def environment(url: str, **more: str) -> dict[str, str]:
    return {
        "PYTHONPATH": str(SOURCE),
        "PATH": os.environ["PATH"],
        "TRIPOINT_ENDPOINT": url,
        "TRIPOINT_KEY": "tp_key",
    } | more


def run(code: str, url: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment(url, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def quiet(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stderr) == (0, "")


def test_a_script_that_ends_at_once_delivers(sink: Sink) -> None:
    quiet(run(START + CALL * 3, sink.url))
    assert sink.names() == ["chat m"] * 3
    assert sink.spans[0]["resource"]["service.name"] == "shop"


def test_a_script_that_fails_delivers_and_keeps_its_error(sink: Sink) -> None:
    done = run(START + "with tripoint.llm_call('m', provider='p'): 1 / 0", sink.url)
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
    assert sink.spans[0]["attributes"]["error.type"] == "ZeroDivisionError"


def test_a_collector_that_is_not_there_does_not_hold_the_exit() -> None:
    code = START + CALL + "import atexit; print(time.monotonic())"
    done = run(code, f"http://127.0.0.1:{free_port()}")
    ended = time.monotonic()
    assert done.returncode == 0
    assert ended - float(done.stdout) < 5
    assert "cannot be reached" in done.stderr and "1 spans were not delivered" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_collector_that_never_answers_holds_the_exit_five_seconds() -> None:
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(4)
        done = run(START + CALL + "print(time.monotonic())", f"http://127.0.0.1:{hole.getsockname()[1]}")
        ended = time.monotonic()
    # five seconds by contract; the rest is for a busy machine
    assert ended - float(done.stdout) < 15
    assert done.returncode == 0 and "1 spans were not delivered" in done.stderr


def test_a_collector_that_asks_to_wait_is_waited_for(sink: Sink) -> None:
    sink.replies = [Reply(503, b"", {"Retry-After": "1"})]
    done = run(START + CALL, sink.url)
    assert done.returncode == 0
    assert sink.names() == ["chat m"]


def test_a_wrong_key_is_one_line_and_no_exception(sink: Sink) -> None:
    sink.always = Reply(401, b"")
    done = run(START + CALL + "tripoint.flush()\n" + CALL + "print('fine')", sink.url)
    assert (done.returncode, done.stdout) == (0, "fine\n")
    assert len(done.stderr.splitlines()) == 1 and "answers 401" in done.stderr


def test_debug_mode_says_what_was_sent(sink: Sink) -> None:
    done = run(START + CALL, sink.url, TRIPOINT_DEBUG="1")
    assert f"sending to {sink.url}/v1/traces" in done.stderr
    assert "1 spans" in done.stderr and "taken" in done.stderr


def test_content_and_travel_can_be_set_from_outside(sink: Sink) -> None:
    code = (
        START + "with tripoint.context(user='u1'):\n  print(tripoint.inject({}, travel='all')['baggage'])\n"
    )
    code += "  from opentelemetry import propagate; h = {}; propagate.inject(h); print(h)\n"
    code += "  with tripoint.llm_call('m', provider='p', input='secret'): pass"
    done = run(code, sink.url, TRIPOINT_CONTENT="none", TRIPOINT_TRAVEL="feature,tier")
    quiet(done)
    assert done.stdout == "user.id=u1\n{}\n"
    assert "gen_ai.input.messages" not in sink.spans[0]["attributes"]
    assert sink.spans[0]["attributes"]["user.id"] == "u1"


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"TRIPOINT_CONTENT": "some"}, "content= is all, sampled or none, not 'some'; no content is sent"),
        ({"TRIPOINT_TRAVEL": "usr"}, "travel= knows"),
        ({"TRIPOINT_ENDPOINT": "localhost:4318"}, "write it like https://"),
        ({"TRIPOINT_KEY": "a\nb"}, "the key holds a line break"),
        ({"TRIPOINT_KEY": ""}, "there is no key"),
    ],
)
def test_a_setting_that_is_wrong_is_one_line(more: dict[str, str], line: str, sink: Sink) -> None:
    done = run(START + "print('fine')", sink.url, **more)
    assert (done.returncode, done.stdout) == (0, "fine\n")
    assert len(done.stderr.splitlines()) == 1 and line in done.stderr


def test_an_existing_provider_is_joined_and_its_sampling_named(sink: Sink) -> None:
    code = """
import tripoint
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
provider = TracerProvider(sampler=TraceIdRatioBased(0.5))
trace.set_tracer_provider(provider)
assert tripoint.init(service="shop", environment="prod", release="7") is provider
assert tripoint.init() is provider
for _ in range(64): trace.get_tracer("theirs").start_span("s").end()
"""
    done = run(code, sink.url)
    sampled, again = done.stderr.splitlines()
    assert "TraceIdRatioBased{0.5}" in sampled and "init() was called before" in again
    assert 0 < len(sink.spans) < 64
    resource = sink.spans[0]["resource"]
    assert resource["service.name"] == "shop"
    assert (resource["deployment.environment.name"], resource["service.version"]) == ("prod", "7")


def test_a_provider_of_our_own_counts_what_a_sampling_caller_leaves_out(sink: Sink) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    code = START + f"with tripoint.extract({{'traceparent': '{traceparent}'}}):\n  " + CALL
    quiet(run(code, sink.url))
    assert sink.spans[0]["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


def test_after_a_fork_each_process_sends_its_own_once(sink: Sink) -> None:
    code = (
        START.replace("shop", "fork")
        + """
for n in range(50):
    with tripoint.llm_call(f"parent{n}", provider="p"): pass
children = []
for worker in range(3):
    child = os.fork()
    if child == 0:
        for n in range(20):
            with tripoint.llm_call(f"child{worker}.{n}", provider="p"): pass
        sys.exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
with tripoint.llm_call("after", provider="p"): pass
"""
    )
    # Since 3.12 Python itself warns who forks a process with threads.
    quiet(run(code, sink.url, PYTHONWARNINGS="ignore:This process:DeprecationWarning"))
    wanted = [f"chat parent{n}" for n in range(50)] + ["chat after"]
    wanted += [f"chat child{worker}.{n}" for worker in range(3) for n in range(20)]
    assert sorted(sink.names()) == sorted(wanted)


def test_a_prefork_server_sends_from_its_workers_at_work(sink: Sink) -> None:
    code = (
        START
        + """
child = os.fork()
if child == 0:
    with tripoint.llm_call("worker", provider="p"): pass
    time.sleep(60)
print(child, flush=True)
time.sleep(60)
"""
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment(sink.url), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        sink.wait(lambda: sink.names() == ["chat worker"])
    finally:
        os.kill(child, signal.SIGKILL)
        process.kill()
        process.communicate()


def test_children_of_multiprocessing_deliver_before_they_end(sink: Sink) -> None:
    code = """
import multiprocessing, tripoint
def work(n):
    with tripoint.llm_call(f"m{n}", provider="p"): pass
if __name__ == "__main__":
    tripoint.init()
    work(99)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=work, args=(n,)) for n in range(3)]
    for child in children: child.start()
    for child in children: child.join()
"""
    quiet(run(code, sink.url))
    assert sorted(sink.names()) == ["chat m0", "chat m1", "chat m2", "chat m99"]


def test_our_own_sending_is_not_traced(sink: Sink) -> None:
    code = (
        START
        + """
from opentelemetry import context
import http.client
seen = []
original = http.client.HTTPConnection.request
def watched(self, *args, **kwargs):
    seen.append(context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY))
    return original(self, *args, **kwargs)
http.client.HTTPConnection.request = watched
"""
        + CALL
        + "assert tripoint.flush() and seen == [True], seen"
    )
    quiet(run(code, sink.url))


def test_django_goes_on_where_its_caller_was(sink: Sink) -> None:
    code = (
        START
        + """
import django
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

def plain(request):
    with tripoint.llm_call("plain", provider="p"): return HttpResponse("a")

def stream(request):
    def parts():
        with tripoint.llm_call("stream", provider="p") as call:
            yield from call.stream(["a", "b"])
    return StreamingHttpResponse(parts())

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
urlpatterns = [path("plain", plain), path("stream", stream)]
django.setup()
from django.core.handlers.wsgi import WSGIHandler
from wsgiref.util import setup_testing_defaults
application = tripoint.WSGIMiddleware(WSGIHandler())

with tripoint.context(user="u1", feature="chat"): headers = tripoint.inject({})
for page in ("plain", "stream"):
    environ = {"HTTP_" + name.upper(): value for name, value in headers.items()}
    setup_testing_defaults(environ)
    environ["PATH_INFO"] = "/" + page
    answer = application(environ, lambda *given: None)
    print(b"".join(answer).decode())
    answer.close()
"""
    )
    done = run(code, sink.url)
    quiet(done)
    assert done.stdout == "a\nab\n"
    said = [(s["name"], s["attributes"]["user.id"], s["attributes"]["tripoint.feature"]) for s in sink.spans]
    assert said == [("chat plain", "u1", "chat"), ("chat stream", "u1", "chat")]


SERVED = """
import fastapi, tripoint, uvicorn
tripoint.init(service="shop")
app = fastapi.FastAPI()
app.add_middleware(tripoint.ASGIMiddleware)

@app.post("/")
async def ask():
    with tripoint.llm_call("m", provider="p"): pass
"""


def test_a_server_that_is_told_to_end_delivers(sink: Sink, tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(SERVED)
    port = free_port()
    told = environment(sink.url, PYTHONPATH=f"{SOURCE}:{tmp_path}")
    command = [sys.executable, "-m", "uvicorn", "served:app", "--port", str(port)]
    server = subprocess.Popen(command, env=told, stderr=subprocess.PIPE, text=True)
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=9), trust_env=False) as client:
            client.post(f"http://127.0.0.1:{port}/").raise_for_status()
        server.send_signal(signal.SIGTERM)
        said = server.communicate(timeout=30)[1]
    finally:
        server.kill()
    assert (server.returncode, "tripoint" in said) == (-signal.SIGTERM, False), said
    assert "chat m" in sink.names()


CELERY = """
import os, tripoint, tripoint.celery
from celery import Celery
folder = os.environ["QUEUE"]
app = Celery("shop", broker="filesystem://")
app.conf.update(
    broker_transport_options={"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "/c"},
    worker_hijack_root_logger=False,
)
tripoint.celery.propagate()
tripoint.init(service="shop")

@app.task
def summarise(text):
    with tripoint.llm_call(text, provider="p"):
        pass
"""


@pytest.mark.slow
def test_a_celery_worker_goes_on_where_its_task_was_sent(sink: Sink, tmp_path: Path) -> None:
    queue = tmp_path / "queue"
    (queue / "c").mkdir(parents=True)
    (tmp_path / "shop.py").write_text(CELERY)
    told = environment(sink.url, QUEUE=str(queue), PYTHONPATH=f"{SOURCE}:{tmp_path}", C_FORCE_ROOT="1")
    code = "import shop, tripoint\nwith tripoint.context(user='u1', tier='premium'):\n  shop.summarise.delay('first')"
    sent = subprocess.run(
        [sys.executable, "-c", code + "\nshop.summarise.delay('second')"],
        env=told,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert sent.returncode == 0, sent.stderr
    log = (tmp_path / "worker.log").open("w")
    worker = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "shop",
            "worker",
            "--pool",
            "prefork",
            "-c",
            "1",
            "-l",
            "info",
        ],
        env=told,
        cwd=tmp_path,
        stdout=log,
        stderr=log,
    )
    try:
        output = tmp_path / "worker.log"
        sink.wait(lambda: output.read_text().count("succeeded") == 2, 60)
        # at once, so that only what the worker sends at its end can bring the spans
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
    finally:
        worker.kill()
        worker.wait()
        log.close()
    said = {span["name"]: span["attributes"] for span in sink.spans}
    assert (said["chat first"]["user.id"], said["chat first"]["tripoint.tier"]) == ("u1", "premium")
    assert "user.id" not in said["chat second"]


def test_import_reads_little() -> None:
    code = "import json, sys, tripoint; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(run(code, "http://127.0.0.1:1").stdout))
    assert not loaded & {"requests", "urllib3", "urllib.request", "celery", "openai", "anthropic", "grpc"}
