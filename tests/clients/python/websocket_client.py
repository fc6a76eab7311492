"""websockets as a client: `websocket_client.py talk|denied`."""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from contract import KEY, URL, WRONG_KEY, pattern

ADDRESS = URL.replace("http:", "ws:") + "/api/socket"
KEYED = {"X-API-Key": KEY}


def opened(headers, **ways):
    return connect(ADDRESS, additional_headers=headers, max_size=None, proxy=None, **ways)


async def talk():
    async with opened(KEYED, subprotocols=["echo"]) as ws:
        subject, chosen = await ws.recv(), ws.subprotocol
        kinds = []
        for message in ["", "häh?", b"", b"\x00\xff", pattern(1 << 20), "x" * (1 << 20)]:
            await ws.send(message)
            kinds.append(await ws.recv() == message)
        # Both directions at once: all are sent before the first is read.
        several = [pattern(1 << 20)[: i * 10_000] for i in range(20)]
        sending = asyncio.gather(*(ws.send(message) for message in several))
        echoed = sorted([await ws.recv() for _ in several], key=len)
        await sending
        latency = await asyncio.wait_for(await ws.ping(), 20)
        await ws.send("ping")
        ponged = await ws.recv()
        await ws.send("close 4001 as you wish")
        try:
            await ws.recv()
        except ConnectionClosed as end:
            closed = [end.rcvd.code, end.rcvd.reason]
    async with opened(KEYED) as ws:
        await ws.recv()
        await ws.close(4002, "mine")
    return {
        "subject": subject,
        "subprotocol": chosen,
        "messages": kinds,
        "both_ways": echoed == several,
        "pinged": latency >= 0,
        "ponged": ponged,
        "closed": closed,
        "closed_by_us": ws.close_code,
    }


async def denied():
    statuses = {}
    for name, headers in {"no_key": {}, "wrong_key": {"X-API-Key": WRONG_KEY}}.items():
        try:
            async with opened(headers):
                statuses[name] = "opened"
        except InvalidStatus as refused:
            body = json.loads(refused.response.body)
            statuses[name] = [refused.response.status_code, body["error"]]
    return statuses


print(json.dumps(asyncio.run({"talk": talk, "denied": denied}[sys.argv[1]]())))
