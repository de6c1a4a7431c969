// Judges deliveries with the official packages that verify signatures.
//
// Usage: node verify.mjs MODULES < REQUESTS
//
// The input is a JSON list of objects with `verifier`, `key`, `headers` and `body`. The output is a list of what was said of each:
// `problem` is what the verifier objected to, or null.

import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules] = process.argv.slice(2);
const require = createRequire(join(modules, "require.js"));
const standard = require("standardwebhooks");
const svix = require("svix");
const octokit = await import(pathToFileURL(join(modules, "@octokit/webhooks-methods/dist-node/index.js")));

const refuseUnless = (accepted) => {
  if (!accepted) {
    throw new Error("no signature matches");
  }
};

const verifiers = {
  standardwebhooks: (key, headers, body) => new standard.Webhook(key).verify(body, headers, { jsonParse: false }),
  svix: (key, headers, body) => new svix.Webhook(key).verify(body, headers),
  octokit: async (key, headers, body) =>
    refuseUnless(await octokit.verify(key, body, headers["x-hub-signature-256"])),
  // The official packages verify `v1` only, so this is what their specification says, with Node's own library.
  ed25519: (key, headers, body) => {
    // What stands before an ed25519 key in DER (RFC 8410).
    const prefix = Buffer.from("302a300506032b6570032100", "hex");
    const raw = Buffer.from(key.replace(/^whpk_/, ""), "base64");
    const publicKey = createPublicKey({ key: Buffer.concat([prefix, raw]), format: "der", type: "spki" });
    const content = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
    const signatures = headers["webhook-signature"].split(" ").filter((one) => one.startsWith("v1a,"));
    refuseUnless(signatures.some((one) => verify(null, content, publicKey, Buffer.from(one.slice(4), "base64"))));
  },
};

const verdicts = [];
for (const { verifier, key, headers, body } of JSON.parse(readFileSync(0, "utf8"))) {
  let problem = null;
  try {
    await verifiers[verifier](key, headers, body);
  } catch (error) {
    problem = `${error.name}: ${error.message}`;
  }
  verdicts.push({ problem, events: [] });
}
console.log(JSON.stringify(verdicts));
