"""grpcio as a client: `grpc_client.py calls|denied|ends|sizes`."""

import json
import queue
import sys
import time
from urllib.parse import urlsplit

import grpc

from contract import KEY, URL, WRONG_KEY, pattern

KEYED = (("x-api-key", KEY),)
channel = grpc.insecure_channel(
    urlsplit(URL).netloc,
    options=[
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
    ],
)


def method(kind, name, service="orders.Orders"):
    return getattr(channel, kind)(f"/{service}/{name}")


def failure(call, *arguments, **named):
    """The status of a call that is to fail, and what stands with it."""
    try:
        result = call(*arguments, timeout=named.pop("timeout", 20), **named)
        if hasattr(result, "__next__"):
            list(result)
        return "it did not fail"
    except grpc.RpcError as error:
        return [error.code().name, error.details()]


def calls():
    answer, call = method("unary_unary", "Unary").with_call(b"hello", metadata=KEYED, timeout=20)
    trailers = dict(call.trailing_metadata())
    numbers = list(method("unary_stream", "Count")(b"1000", metadata=KEYED, timeout=20))
    sent = (b"x" * i for i in range(100))
    gathered = method("stream_unary", "Gather")(sent, metadata=KEYED, timeout=20)
    return {
        "unary": answer.decode(),
        "trailers": [trailers["seen-subject"], trailers["seen-bin"].hex()],
        "server_stream": numbers == [b"%d" % i for i in range(1000)],
        "client_stream": gathered.decode(),
        "bidi": talk(),
        "status": failure(method("unary_unary", "Refuse"), b"", metadata=KEYED),
        "unimplemented": failure(method("unary_unary", "Nothing"), b"", metadata=KEYED)[0],
    }


def talk():
    """Each message is sent only when the answer to the one before it has come."""
    outgoing = queue.Queue()
    answers = method("stream_stream", "Talk")(iter(outgoing.get, None), metadata=KEYED, timeout=20)
    heard = []
    for i in range(20):
        outgoing.put(b"%d" % i)
        heard.append(next(answers) == b"re: %d" % i)
    outgoing.put(None)
    return [heard.count(True), len(list(answers))]


def denied():
    wrong = (("x-api-key", WRONG_KEY),)
    unary = method("unary_unary", "Unary")
    return {
        "no_key": failure(unary, b""),
        "wrong_key": failure(unary, b"", metadata=wrong),
        "missing_scope": failure(method("unary_unary", "Unary", "orders.Admin"), b"", metadata=KEYED),
        "server_stream": failure(method("unary_stream", "Count"), b"5", metadata=wrong),
        "bidi": failure(method("stream_stream", "Talk"), iter([b"a", b"b"]), metadata=wrong),
        "large": failure(unary, pattern(10_000_000), metadata=wrong),
        "waiting": failure(unary, b"", wait_for_ready=True),
        "next": unary(b"still here", metadata=KEYED, timeout=20).decode(),
    }


def ends():
    started = time.monotonic()
    late = failure(method("unary_unary", "Sleep"), b"", metadata=KEYED, timeout=0.5)
    soon = time.monotonic() - started < 10
    # Without a deadline, which the server would keep by itself.
    given_up = method("unary_unary", "Sleep").future(b"", metadata=KEYED)
    time.sleep(0.5)
    given_up.cancel()
    unary = method("unary_unary", "Unary")(b"still here", metadata=KEYED, timeout=20)
    return {"late": late[0], "soon": soon, "given_up": given_up.code().name, "next": unary.decode()}


def sizes():
    """The sizes that came back intact, and how many calls one channel carried."""
    unary = method("unary_unary", "Unary")
    intact = [n for n in (0, 1, 65_536, 10_000_000) if unary(pattern(n), metadata=KEYED, timeout=60) == pattern(n)]
    for _ in range(100):
        unary(b"again", metadata=KEYED, timeout=20)
    return intact


print(json.dumps({"calls": calls, "denied": denied, "ends": ends, "sizes": sizes}[sys.argv[1]]()))
