"""What every client of HTTP is asked to do, and the environment that says where and with which key."""

import json
import os

URL = os.environ["API_URL"]
KEY = os.environ["API_KEY"]
WRONG_KEY = os.environ["WRONG_KEY"]
SIZES = [0, 1, 65_536, 10_000_000]


def pattern(size):
    """The content of /api/bytes/<size>."""
    period = bytes(i * i % 251 for i in range(251))
    return (period * (size // 251 + 1))[:size]


def contract(call):
    """`call(method, path, headers, body)` gives status and body."""
    key = {"X-API-Key": KEY}

    def denied(method, path, headers, body=None):
        status, answer = call(method, path, headers, body)
        return [status, json.loads(answer)["error"]]

    def intact(size):
        body = pattern(size)
        up = call("POST", "/api/echo", key, body) == (200, body)
        return up and call("GET", f"/api/bytes/{size}", key, None) == (200, body)

    status, answer = call("GET", "/api/whoami?a=%20b", key, None)
    seen = json.loads(answer)
    return {
        "good": [status, seen["target"], seen["headers"].get("x-sidegate-subject")],
        "tenant": seen["headers"].get("x-sidegate-tenant"),
        "scopes": seen["headers"].get("x-sidegate-scopes"),
        "key_at_app": seen["headers"].get("x-api-key"),
        "no_key": denied("GET", "/api/whoami", {}),
        "wrong_key": denied("GET", "/api/whoami", {"X-API-Key": WRONG_KEY}),
        "missing_scope": denied("GET", "/admin/x", key),
        "denied_upload": denied("POST", "/api/echo", {"X-API-Key": WRONG_KEY}, pattern(65_536)),
        "intact": [size for size in SIZES if intact(size)],
    }


def many(call):
    """Requests one after the other, good ones and denied ones: the statuses of a hundred."""
    statuses = {}
    for i in range(100):
        if i % 4 == 0:
            status, _ = call("GET", "/api/whoami", {}, None)
        elif i % 4 == 1:
            status, _ = call("POST", "/api/echo", {"X-API-Key": KEY}, b"x" * i)
        else:
            status, _ = call("GET", f"/api/bytes/{i}", {"X-API-Key": KEY}, None)
        statuses[str(status)] = statuses.get(str(status), 0) + 1
    return statuses


def outcome(attempt):
    """What became of something that may fail: its result, or the error's class."""
    try:
        return attempt()
    except Exception as error:
        return type(error).__name__
