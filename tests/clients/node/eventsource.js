// EventSource as browsers have it, from npm: `eventsource.js follow|denied`. It sends a key by a fetch of its own.
"use strict";
const { EventSource } = require("eventsource");
const { url, key, run } = require("./contract.js");

function source(path, key) {
  const requests = [];
  const keyed = (address, init) => {
    requests.push(init.headers["Last-Event-ID"] ?? null);
    return fetch(address, { ...init, headers: { ...init.headers, ...(key && { "X-API-Key": key }) } });
  };
  return [new EventSource(url + path, { fetch: keyed }), requests];
}

// Each connection ends after 20 events; it comes back and goes on behind the last one.
function follow() {
  const [events, requests] = source("/api/events?count=20", key);
  const ids = [];
  return new Promise((resolve) => {
    events.addEventListener("tick", (event) => {
      ids.push([Number(event.lastEventId), event.data]);
      if (ids.length < 50) return;
      events.close();
      resolve({ in_order: ids.every(([id, data], i) => id === i + 1 && data === `first of ${id}\nsecond`), requests });
    });
  });
}

// A denial is an error with its status, and it does not come back.
function denied() {
  const [events, requests] = source("/api/events?count=20");
  return new Promise((resolve) => {
    events.addEventListener("error", (event) => {
      setTimeout(() => resolve({ code: event.code, closed: events.readyState === EventSource.CLOSED, requests }), 500);
    });
  });
}

run({ follow, denied }, process.argv[2]);
