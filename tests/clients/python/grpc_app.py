"""A gRPC server: `grpc_app.py PORT`. Messages are bytes, so that no generated code is needed.

It prints a line for each call that reaches it.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

SUBJECT = "x-sidegate-subject"


def told(name, context):
    metadata = dict(context.invocation_metadata())
    print("CALL", name, metadata.get(SUBJECT), "x-api-key" in metadata, flush=True)
    context.set_trailing_metadata((("seen-subject", metadata.get(SUBJECT, "")), ("seen-bin", b"\x00\xff")))


def unary(request, context):
    told("Unary", context)
    return request


def refuse(request, context):
    told("Refuse", context)
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not in this mood: 100%")


def count(request, context):
    told("Count", context)
    for i in range(int(request)):
        yield b"%d" % i


def gather(requests, context):
    told("Gather", context)
    return b"%d" % sum(len(request) for request in requests)


def talk(requests, context):
    told("Talk", context)
    for request in requests:
        yield b"re: " + request


def sleep(request, context):
    told("Sleep", context)
    while context.is_active():
        time.sleep(0.02)
    print("CANCELLED", flush=True)
    return b""


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Gather": grpc.stream_unary_rpc_method_handler(gather),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Sleep": grpc.unary_unary_rpc_method_handler(sleep),
}
server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", -1)])
for service in ("orders.Orders", "orders.Admin"):
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, METHODS),))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
