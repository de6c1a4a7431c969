// Takes the paths that the tests poll out of GitHub's description of its API, which is too large to be served quickly.
//
// Usage: node github.mjs DESCRIPTION PART

import { readFileSync, writeFileSync } from "node:fs";

const [description, part] = process.argv.slice(2);
const paths = ["/repos/{owner}/{repo}/releases", "/repos/{owner}/{repo}/issues"];

const api = JSON.parse(readFileSync(description, "utf8"));
for (const path of paths) {
  const answer = api.paths[path].get.responses["200"];
  // The example of a next page is on GitHub.
  delete answer.headers;
  // The type that GitHub recommends to ask for is only in the text of its description.
  answer.content["application/vnd.github+json"] = answer.content["application/json"];
}
const polled = Object.fromEntries(paths.map((path) => [path, { get: api.paths[path].get }]));
writeFileSync(part, JSON.stringify({ openapi: api.openapi, info: api.info, paths: polled }));
