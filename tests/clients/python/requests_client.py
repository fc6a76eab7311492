"""requests: `requests_client.py contract|many|streams|large_denied|retries`."""

import hashlib
import json
import sys

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from contract import KEY, URL, WRONG_KEY, contract, many, outcome, pattern

session = requests.Session()
session.trust_env = False


def call(method, path, headers, body):
    answer = session.request(method, URL + path, headers=headers, data=body, timeout=60)
    return answer.status_code, answer.content


def pieces(size):
    body = pattern(size)
    for start in range(0, size, 100_000):
        yield body[start : start + 100_000]


def streams():
    """A body from a generator, which goes chunked; an answer without a length, read piece by piece."""
    size = 10_000_000
    headers = {"X-API-Key": KEY}
    up = session.post(URL + "/api/digest", headers=headers, data=pieces(size), timeout=60).json()
    down, count = hashlib.sha256(), 0
    with session.get(URL + f"/api/chunked/{size}", headers=headers, stream=True, timeout=60) as answer:
        chunked = answer.headers.get("Transfer-Encoding")
        for piece in answer.iter_content(8192):
            down.update(piece)
            count += len(piece)
    expected = hashlib.sha256(pattern(size)).hexdigest()
    return {
        "up": [up["size"], up["sha256"] == expected],
        "down": [count, down.hexdigest() == expected, chunked],
    }


def large_denied():
    """10 MB with a key that is not let in: the answer, or the error that this client makes of it."""

    def upload(body):
        return session.post(URL + "/api/echo", headers={"X-API-Key": WRONG_KEY}, data=body, timeout=60).status_code

    lost = {
        "length": outcome(lambda: upload(pattern(10_000_000))),
        "chunked": outcome(lambda: upload(pieces(10_000_000))),
    }
    return {"lost": lost, "next": call("GET", "/api/whoami", {"X-API-Key": KEY}, None)[0]}


def retries():
    """A client that tries again on 429 and 5xx, as people configure it, takes a denial for an answer."""
    retry = Retry(total=5, backoff_factor=0.1, status_forcelist=[429, 500, 502, 503, 504])
    session.mount("http://", HTTPAdapter(max_retries=retry))
    return [call("GET", "/api/whoami", {}, None)[0], call("GET", "/admin/x", {"X-API-Key": KEY}, None)[0]]


cases = {
    "contract": lambda: contract(call),
    "many": lambda: many(call),
    "streams": streams,
    "large_denied": large_denied,
    "retries": retries,
}
print(json.dumps(cases[sys.argv[1]]()))
