// Fastify with a page for everybody and one at /admin: `fastify.js PORT`.
"use strict";
const app = require("fastify")();

app.get("/admin", async () => {
  console.log("ADMIN");
  return "the admin page";
});
app.get("/open", async () => "the open page");
app.listen({ port: Number(process.argv[2]), host: "127.0.0.1" });
