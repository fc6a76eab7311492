"""httpx: `httpx_client.py 1|2 contract|many|streams|concurrent`. With 2, HTTP/2 by prior knowledge."""

import asyncio
import hashlib
import json
import sys

import httpx

from contract import KEY, URL, contract, many, pattern

HTTP2 = sys.argv[1] == "2"
WAYS = {"http1": not HTTP2, "http2": HTTP2, "timeout": 60, "trust_env": False, "base_url": URL}
client = httpx.Client(**WAYS)


def call(method, path, headers, body):
    answer = client.request(method, path, headers=headers, content=body)
    return answer.status_code, answer.content


def streams():
    size = 10_000_000
    body = pattern(size)
    expected = hashlib.sha256(body).hexdigest()
    headers = {"X-API-Key": KEY}
    parts = (body[start : start + 100_000] for start in range(0, size, 100_000))
    up = client.post("/api/digest", headers=headers, content=parts).json()
    down, count = hashlib.sha256(), 0
    with client.stream("GET", f"/api/chunked/{size}", headers=headers) as answer:
        for piece in answer.iter_bytes(8192):
            down.update(piece)
            count += len(piece)
        version = answer.http_version
    return {
        "up": [up["size"], up["sha256"] == expected],
        "down": [count, down.hexdigest() == expected],
        "version": version,
    }


async def concurrent():
    """Many at once: over HTTP/2 on one connection."""
    size = 100_000
    async with httpx.AsyncClient(**WAYS) as client:

        async def one(i):
            if i % 5 == 0:
                return (await client.get("/api/whoami")).status_code
            answer = await client.get(f"/api/bytes/{size + i}", headers={"X-API-Key": KEY})
            return answer.status_code if answer.content == pattern(size + i) else "damaged"

        # The connection is there before they begin; else each opens one.
        await one(0)
        statuses = await asyncio.gather(*(one(i) for i in range(50)))
    return {str(status): statuses.count(status) for status in sorted(set(statuses))}


cases = {
    "contract": lambda: contract(call),
    "many": lambda: many(call),
    "streams": streams,
    "concurrent": lambda: asyncio.run(concurrent()),
}
print(json.dumps(cases[sys.argv[2]]()))
