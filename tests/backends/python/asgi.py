"""An ASGI app that prints a line for each request, and answers with it."""

import json

from record import show


async def read(receive):
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts).decode("latin-1")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] != "http":
        return
    query = scope["query_string"].decode("latin-1")
    record = {
        "method": scope["method"],
        "target": scope["raw_path"].decode("latin-1") + ("?" + query if query else ""),
        "headers": [[n.decode("latin-1").lower(), v.decode("latin-1")] for n, v in scope["headers"]],
        "body": await read(receive),
    }
    show(record)
    text = json.dumps(record).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})
