// Takes the paths that the tests poll, and the examples of all lists, out of GitHub's description of its API, which is too large to be served quickly.
//
// Usage: node github.mjs DESCRIPTION PART ANSWERS

import { readFileSync, writeFileSync } from "node:fs";

const [description, part, answers] = process.argv.slice(2);
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

// Every list that has an example, as an answer: `new` is tried on all of them.
const lists = [];
for (const [path, operations] of Object.entries(api.paths)) {
  const json = operations.get?.responses?.["200"]?.content?.["application/json"];
  const examples = json?.examples ? Object.values(json.examples).map((example) => example.value) : [json?.example];
  const body = examples.find((example) => example !== undefined);
  const isList = (value) => Array.isArray(value) && value.length > 0 && value.every((row) => row && typeof row === "object" && !Array.isArray(row));
  let items;
  if (isList(body)) {
    items = ".[]";
  } else if (body && !Array.isArray(body) && "total_count" in body) {
    const members = Object.keys(body).filter((name) => isList(body[name]));
    items = members.length === 1 ? `.${members[0]}[]` : undefined;
  }
  if (items) {
    const isPaged = (operations.get.parameters ?? []).some((parameter) => ["page", "after", "cursor"].includes(parameter.name));
    lists.push({ path, items, paged: isPaged, body });
  }
}
writeFileSync(answers, JSON.stringify(lists));
