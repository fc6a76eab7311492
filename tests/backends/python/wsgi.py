"""A WSGI app that prints a line for each request, and answers with it."""

import json

from record import show


def name(key):
    return key.removeprefix("HTTP_").lower().replace("_", "-")


def app(environ, start_response):
    try:
        body = environ["wsgi.input"].read().decode("latin-1")
    except Exception:
        body = None
    headers = [
        [name(key), value]
        for key, value in environ.items()
        if key.startswith("HTTP_") or (key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
    ]
    record = {
        "method": environ["REQUEST_METHOD"],
        "target": environ["RAW_URI"],
        "headers": headers,
        "body": body,
        "script": environ["SCRIPT_NAME"],
        "path": environ["PATH_INFO"],
    }
    show(record)
    text = json.dumps(record).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]
