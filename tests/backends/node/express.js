// Express with a page for everybody and one at /admin: `express.js PORT`.
"use strict";
const app = require("express")();

app.get("/admin", (_, response) => {
  console.log("ADMIN");
  response.send("the admin page");
});
app.get("/open", (_, response) => response.send("the open page"));
app.listen(Number(process.argv[2]), "127.0.0.1");
