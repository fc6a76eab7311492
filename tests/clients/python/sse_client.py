"""httpx-sse: the events of one connection, and the answer to a caller without a key."""

import json

import httpx
from httpx_sse import SSEError, connect_sse

from contract import KEY, URL

with httpx.Client(trust_env=False, timeout=60) as client:
    with connect_sse(client, "GET", URL + "/api/events?count=50", headers={"X-API-Key": KEY}) as source:
        events = [[event.event, event.id, event.data] for event in source.iter_sse()]
    with connect_sse(client, "GET", URL + "/api/events?count=50") as source:
        try:
            denied = list(source.iter_sse())
        except SSEError:
            denied = source.response.status_code
print(json.dumps({"events": events, "denied": denied}))
