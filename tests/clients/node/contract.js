// What every client of HTTP is asked to do, and the environment that says where and with which key.
"use strict";
const { API_URL: url, API_KEY: key, WRONG_KEY: wrongKey } = process.env;

// The content of /api/bytes/<size>.
function pattern(size) {
  const body = new Uint8Array(size);
  for (let i = 0; i < size; i++) body[i] = ((i % 251) * (i % 251)) % 251;
  return body;
}

// Prints what the case of this name finds. `run({a, b}, name)`
async function run(cases, name) {
  try {
    console.log(JSON.stringify(await cases[name]()));
    process.exit(0);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}

module.exports = { url, key, wrongKey, pattern, run };
