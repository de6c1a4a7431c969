// A server (http-auth) that wants HTTP digest: user `me`, password `s3cret`.
//
// Usage: node digest.mjs MODULES ALGORITHM QOP
//
// Writes its origin.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";

const [modules, algorithm, qop] = process.argv.slice(2);
const auth = createRequire(join(modules, "require.js"))("http-auth");

const known = createHash("md5").update("me:shop:s3cret").digest("hex");
const digest = auth.digest({ algorithm, qop, realm: "shop" }, (user, told) => told(user === "me" ? known : ""));
const answer = digest.check((_request, response) => {
  response.writeHead(200, { "content-type": "application/json" });
  response.end('[{"id":1}]');
});
const server = createServer(answer);
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
