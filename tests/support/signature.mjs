// Signs a request as AWS's own library does.
//
// Usage: node signature.mjs MODULES REQUEST
//
// REQUEST is JSON: service, region, access_key_id, secret_access_key, method, url, headers and body as they were sent. What
// was signed is told by the header `authorization` among them. Writes what that header should be.

import { createRequire } from "node:module";
import { join } from "node:path";

const [modules, text] = process.argv.slice(2);
const require = createRequire(join(modules, "require.js"));
const { SignatureV4 } = require("@smithy/signature-v4");
const { Sha256 } = require("@aws-crypto/sha256-js");

const sent = JSON.parse(text);
const url = new URL(sent.url);
const { authorization, ...headers } = sent.headers;
const names = /SignedHeaders=([^,]*)/.exec(authorization)[1].split(";");
const query = {};
for (const pair of url.search.slice(1).split("&").filter(Boolean)) {
  const [name, value] = pair.split("=").map(decodeURIComponent);
  query[name] = [...(query[name] ?? []), value ?? ""];
}
const isStorage = sent.service === "s3";
const signer = new SignatureV4({
  applyChecksum: isStorage,
  credentials: { accessKeyId: sent.access_key_id, secretAccessKey: sent.secret_access_key },
  region: sent.region,
  service: sent.service,
  sha256: Sha256,
  uriEscapePath: !isStorage,
});
const signed = await signer.sign(
  {
    body: sent.body,
    headers: Object.fromEntries(names.map((name) => [name, headers[name]])),
    hostname: url.hostname,
    method: sent.method,
    path: url.pathname,
    protocol: url.protocol,
    query,
  },
  { signingDate: new Date(headers["x-amz-date"].replace(/^(....)(..)(..)T(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z")) },
);
console.log(signed.headers.authorization);
