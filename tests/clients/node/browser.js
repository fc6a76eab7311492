// Chromium without a window: a page calls the gate from another origin: `browser.js open|closed`.
"use strict";
const { execSync } = require("node:child_process");
const http = require("node:http");
// All that it writes is in the folder that it is started in.
process.env.HOME = process.env.TMPDIR = process.cwd();
const { chromium } = require("playwright-core");
const { url, key, wrongKey, run } = require("./contract.js");

const ARGUMENTS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Nothing else is to be found from here.
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

// A page of an origin of its own, and what its console says.
async function withPage(use) {
  const server = http.createServer((_, answer) => {
    answer.setHeader("Content-Type", "text/html");
    answer.end("<!doctype html><title>a page</title>");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const executablePath = execSync("command -v chromium", { encoding: "utf8" }).trim();
  const browser = await chromium.launch({ executablePath, chromiumSandbox: false, args: ARGUMENTS });
  try {
    const page = await browser.newPage();
    const said = [];
    page.on("console", (message) => said.push(message.text()));
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    return await use(page, said);
  } finally {
    await browser.close();
    server.close();
  }
}

// In the page: what fetch gives for a path and headers.
const ask = ([address, headers]) =>
  fetch(address, { headers }).then(
    async (answer) => [answer.status, (await answer.json()).error ?? null],
    (error) => `${error.name}: ${error.message}`,
  );

// In the page: the sizes that went up and came down intact.
async function sizes([url, key]) {
  const headers = { "X-API-Key": key };
  const intact = [];
  for (const size of [0, 1, 65_536, 10_000_000]) {
    const body = new Uint8Array(size).map((_, i) => ((i % 251) * (i % 251)) % 251);
    const same = async (answer) => {
      const bytes = new Uint8Array(await answer.arrayBuffer());
      return answer.status === 200 && bytes.length === size && bytes.every((byte, i) => byte === body[i]);
    };
    const up = await same(await fetch(`${url}/api/echo`, { method: "POST", headers, body }));
    if (up && (await same(await fetch(`${url}/api/bytes/${size}`, { headers })))) intact.push(size);
  }
  return intact;
}

// In the page: a hundred requests, ten at a time.
async function many([url, key]) {
  const statuses = new Set();
  for (let i = 0; i < 10; i++) {
    const ten = Array.from({ length: 10 }, (_, j) => fetch(`${url}/api/bytes/${10 * i + j}`, { headers: { "X-API-Key": key } }));
    for (const answer of await Promise.all(ten)) {
      await answer.arrayBuffer();
      statuses.add(answer.status);
    }
  }
  return [...statuses];
}

// In the page: server-sent events by fetch, and by EventSource, which has no key.
async function events([url, key]) {
  const answer = await fetch(`${url}/api/events?count=10`, { headers: { "X-API-Key": key } });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    text += value;
  }
  const source = new EventSource(`${url}/api/events?count=10`);
  const state = await new Promise((resolve) => (source.onerror = () => resolve(source.readyState)));
  return { by_fetch: text.match(/event: tick/g).length, event_source_closed: state === EventSource.CLOSED };
}

// In the page: a WebSocket without a key, one with a ticket, and one with the same ticket again.
async function sockets([url, key]) {
  const address = url.replace("http:", "ws:");
  const ended = (ws) => new Promise((resolve) => (ws.onclose = (event) => resolve([event.code, event.reason])));
  const next = (ws) =>
    new Promise((resolve) => {
      ws.onmessage = (event) => resolve(event.data);
      ws.onclose = (event) => resolve(`closed with ${event.code}`);
    });
  const bare = await ended(new WebSocket(`${address}/api/socket`));
  const ticket = await (await fetch(`${url}/api/ticket`, { method: "POST", headers: { "X-API-Key": key } })).text();
  const ws = new WebSocket(`${address}/live?ticket=${ticket}`);
  const subject = await next(ws);
  const large = "x".repeat(1 << 20);
  ws.send(large);
  const echoed = (await next(ws)) === large;
  ws.send("close 4001 as you wish");
  const closed = await ended(ws);
  const again = await ended(new WebSocket(`${address}/live?ticket=${ticket}`));
  return { bare, subject, echoed, closed, again };
}

// In the page: gives up while the app thinks.
async function abort([url, key]) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 300);
  try {
    await fetch(`${url}/api/hang`, { headers: { "X-API-Key": key }, signal: controller.signal });
  } catch (error) {
    return error.name;
  }
}

const keyed = { "X-API-Key": key };
const blocked = (said, words) => said.filter((line) => words.every((word) => line.includes(word))).length;

// The tools hear of an answer a little later than the page.
async function until(holds) {
  for (let i = 0; i < 200 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
}

// Before a Gate that lets preflights through.
const open = () =>
  withPage(async (page, said) => {
    const seen = await page.evaluate(([url, headers]) => fetch(`${url}/api/whoami`, { headers }).then((answer) => answer.json()), [url, keyed]);
    const found = {
      subject: seen.headers["x-sidegate-subject"],
      key_at_app: seen.headers["x-api-key"] ?? null,
      intact: await page.evaluate(sizes, [url, key]),
      many: await page.evaluate(many, [url, key]),
      events: await page.evaluate(events, [url, key]),
      sockets: await page.evaluate(sockets, [url, key]),
      abort: await page.evaluate(abort, [url, key]),
    };
    said.length = 0;
    // What the developer tools list under "Network".
    const network = await page.context().newCDPSession(page);
    const listed = [];
    network.on("Network.responseReceivedExtraInfo", ({ statusCode }) => listed.push(statusCode));
    await network.send("Network.enable");
    found.no_key = await page.evaluate(ask, [`${url}/api/whoami`, {}]);
    found.wrong_key = await page.evaluate(ask, [`${url}/api/whoami`, { "X-API-Key": wrongKey }]);
    found.missing_scope = await page.evaluate(ask, [`${url}/admin/x`, keyed]);
    const blockedReads = () => blocked(said, ["blocked by CORS policy", "No 'Access-Control-Allow-Origin' header"]);
    // 204 is a preflight.
    const answers = () => listed.filter((status) => status !== 204);
    await until(() => blockedReads() === 3 && answers().length === 3);
    found.console = blockedReads();
    found.network = answers();
    // A page of the app's own origin.
    await page.goto(`${url}/live`);
    found.same_origin = {
      no_key: await page.evaluate(ask, ["/api/whoami", {}]),
      wrong_key: await page.evaluate(ask, ["/api/whoami", { "X-API-Key": wrongKey }]),
      missing_scope: await page.evaluate(ask, ["/admin/x", keyed]),
      good: (await page.evaluate(ask, ["/api/whoami", keyed]))[0],
    };
    return found;
  });

// Before a Gate that does not.
const closed = () =>
  withPage(async (page, said) => {
    const good_key = await page.evaluate(ask, [`${url}/api/whoami`, keyed]);
    const failed = () =>
      blocked(said, ["blocked by CORS policy", "Response to preflight request doesn't pass access control check"]);
    await until(() => failed() === 1);
    return { good_key, console: failed() };
  });

run({ open, closed }, process.argv[2]);
