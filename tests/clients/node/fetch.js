// Node's fetch (undici): `fetch.js contract|many|streams|abort|large_denied`.
"use strict";
const { createHash } = require("node:crypto");
const { url, key, wrongKey, pattern, run } = require("./contract.js");

async function call(method, path, key, body) {
  const headers = key ? { "X-API-Key": key } : {};
  const answer = await fetch(url + path, { method, headers, body });
  return [answer.status, new Uint8Array(await answer.arrayBuffer())];
}

const text = (bytes) => Buffer.from(bytes).toString();
const same = (a, b) => Buffer.compare(a, b) === 0;
const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

async function denied(method, path, key, body) {
  const [status, answer] = await call(method, path, key, body);
  return [status, JSON.parse(text(answer)).error];
}

async function contract() {
  const intact = [];
  for (const size of [0, 1, 65_536, 10_000_000]) {
    const body = pattern(size);
    const [up, echoed] = await call("POST", "/api/echo", key, body);
    const [down, content] = await call("GET", `/api/bytes/${size}`, key);
    if (up === 200 && down === 200 && same(echoed, body) && same(content, body)) intact.push(size);
  }
  const [status, answer] = await call("GET", "/api/whoami?a=%20b", key);
  const seen = JSON.parse(text(answer));
  return {
    good: [status, seen.target, seen.headers["x-sidegate-subject"]],
    tenant: seen.headers["x-sidegate-tenant"],
    scopes: seen.headers["x-sidegate-scopes"],
    key_at_app: seen.headers["x-api-key"] ?? null,
    no_key: await denied("GET", "/api/whoami"),
    wrong_key: await denied("GET", "/api/whoami", wrongKey),
    missing_scope: await denied("GET", "/admin/x", key),
    denied_upload: await denied("POST", "/api/echo", wrongKey, pattern(65_536)),
    intact,
  };
}

async function many() {
  const statuses = {};
  for (let i = 0; i < 100; i++) {
    let status;
    if (i % 4 === 0) [status] = await call("GET", "/api/whoami");
    else if (i % 4 === 1) [status] = await call("POST", "/api/echo", key, "x".repeat(i));
    else [status] = await call("GET", `/api/bytes/${i}`, key);
    statuses[status] = (statuses[status] ?? 0) + 1;
  }
  return statuses;
}

// A body from a stream, which goes chunked; an answer without a length, read piece by piece.
async function streams() {
  const size = 10_000_000;
  const bytes = pattern(size);
  const expected = digest(bytes);
  const body = new ReadableStream({
    start: (controller) => {
      for (let start = 0; start < size; start += 100_000) controller.enqueue(bytes.subarray(start, start + 100_000));
      controller.close();
    },
  });
  const headers = { "X-API-Key": key };
  const up = await (await fetch(url + "/api/digest", { method: "POST", headers, body, duplex: "half" })).json();
  const answer = await fetch(`${url}/api/chunked/${size}`, { headers });
  const hash = createHash("sha256");
  let count = 0;
  let pieces = 0;
  for await (const piece of answer.body) {
    hash.update(piece);
    count += piece.length;
    pieces += 1;
  }
  return {
    up: [up.size, up.sha256 === expected],
    down: [count, hash.digest("hex") === expected, answer.headers.get("transfer-encoding")],
    in_pieces: pieces > 10,
  };
}

// Gives up: before an answer, and in the middle of one. The app is told of it.
async function abort() {
  const headers = { "X-API-Key": key };
  const name = async (controller, path, inside) => {
    try {
      const answer = await fetch(url + path, { headers, signal: controller.signal });
      await inside(answer);
      return "it was not given up";
    } catch (error) {
      return error.name;
    }
  };
  const waiting = new AbortController();
  setTimeout(() => waiting.abort(), 300);
  const before = await name(waiting, "/api/hang", () => {});
  const reading = new AbortController();
  const inside = await name(reading, "/api/chunked/100000000", async (answer) => {
    let pieces = 0;
    for await (const _ of answer.body) if (++pieces === 5) reading.abort();
  });
  const timed = AbortSignal.timeout(300);
  const late = await name({ signal: timed }, "/api/hang", () => {});
  for (let i = 0; i < 200; i++) {
    if (text((await call("GET", "/api/gone", key))[1]) === "2") break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { before, inside, late, gone: text((await call("GET", "/api/gone", key))[1]) };
}

// 10 MB with a key that is not let in: the answer or an error, and the next request is answered.
async function large_denied() {
  let status;
  try {
    [status] = await call("POST", "/api/echo", wrongKey, pattern(10_000_000));
  } catch (error) {
    status = error.cause?.code ?? error.name;
  }
  return { status, next: (await call("GET", "/api/whoami", key))[0] };
}

run({ contract, many, streams, abort, large_denied }, process.argv[2]);
