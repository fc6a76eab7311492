// ws as a client: `websocket.js talk|denied`.
"use strict";
const WebSocket = require("ws");
const { url, key, wrongKey, pattern, run } = require("./contract.js");

const address = url.replace("http:", "ws:") + "/api/socket";

// A socket whose messages and end can be waited for.
function open(headers, options) {
  const ws = new WebSocket(address, ["echo"], { headers, ...options });
  const waiting = [];
  const heard = [];
  ws.on("message", (data, binary) => {
    const message = binary ? data : data.toString();
    if (waiting.length) waiting.shift()(message);
    else heard.push(message);
  });
  ws.next = () => (heard.length ? Promise.resolve(heard.shift()) : new Promise((resolve) => waiting.push(resolve)));
  ws.ended = new Promise((resolve) => ws.on("close", (code, reason) => resolve([code, reason.toString()])));
  ws.ended.then(([code]) => waiting.forEach((resolve) => resolve(`closed with ${code}`)));
  ws.on("error", () => {});
  return ws;
}

async function talk(perMessageDeflate) {
  const ws = open({ "X-API-Key": key }, { perMessageDeflate });
  const subject = await ws.next();
  const messages = [];
  for (const message of ["", "häh?", "x".repeat(1 << 20)]) {
    ws.send(message);
    messages.push((await ws.next()) === message);
  }
  for (const message of [Buffer.alloc(0), Buffer.from(pattern(1 << 20))]) {
    ws.send(message);
    messages.push(Buffer.compare(await ws.next(), message) === 0);
  }
  const ponged = new Promise((resolve) => ws.once("pong", (data) => resolve(data.toString())));
  ws.ping("are you there");
  const pong = await ponged;
  ws.send("ping");
  const pinged = await ws.next();
  ws.send("close 4001 as you wish");
  const closed = await ws.ended;
  const other = open({ "X-API-Key": key }, {});
  await other.next();
  other.close(4002, "mine");
  const closed_by_us = await other.ended;
  return { subject, subprotocol: ws.protocol, deflated: ws.extensions !== "", messages, pong, pinged, closed, closed_by_us };
}

// The answer that came instead of 101.
function refused(headers) {
  return new Promise((resolve) => {
    const ws = open(headers, {});
    ws.on("open", () => resolve("opened"));
    ws.on("unexpected-response", (_, answer) => {
      let body = "";
      answer.on("data", (data) => (body += data));
      answer.on("end", () => resolve([answer.statusCode, JSON.parse(body).error]));
    });
  });
}

const cases = {
  talk: async () => ({ plain: await talk(false), deflated: await talk(true) }),
  denied: async () => ({ no_key: await refused({}), wrong_key: await refused({ "X-API-Key": wrongKey }) }),
};
run(cases, process.argv[2]);
