// Node's own server: `echo.js PORT`. It prints a line for each request, and answers with it.
"use strict";
const http = require("node:http");

http
  .createServer((request, response) => {
    const parts = [];
    const headers = [];
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      headers.push([request.rawHeaders[i].toLowerCase(), request.rawHeaders[i + 1]]);
    }
    const record = { method: request.method, target: request.url, headers, body: null, trailers: {} };
    request.on("data", (data) => parts.push(data));
    request.on("close", () => {
      if (!request.complete) console.log("RECORD " + JSON.stringify(record));
    });
    request.on("error", () => {});
    request.on("end", () => {
      record.body = Buffer.concat(parts).toString("latin1");
      record.trailers = request.trailers;
      console.log("RECORD " + JSON.stringify(record));
      const text = JSON.stringify(record);
      response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
      response.end(text);
    });
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
