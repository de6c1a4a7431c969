// An OAuth 2.0 server (oidc-provider) and an API that takes its tokens.
//
// Usage: node oauth.mjs MODULES TOKEN_SECONDS
//
// Writes a line of JSON with its origin and a refresh token that was not used yet. Each refresh token is good for one
// use; using one again ends the access that it stands for.

import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, seconds] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(join(modules, "oidc-provider/lib/index.js")));

const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const origin = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(origin, {
  clients: [
    {
      client_id: "machine",
      client_secret: "machine: s3cret & more",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      scope: "read",
    },
    {
      client_id: "person",
      client_secret: "person-s3cret",
      grant_types: ["authorization_code", "refresh_token"],
      redirect_uris: ["https://client.example/"],
      token_endpoint_auth_method: "client_secret_post",
    },
  ],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  findAccount: (_context, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  rotateRefreshToken: true,
  scopes: ["openid", "offline_access", "read"],
  ttl: { AccessToken: Number(seconds), ClientCredentials: Number(seconds), Grant: 3600, RefreshToken: 3600 },
});

const counts = { tokens: 0, refused_grants: 0, answered: 0, unauthorized: 0 };
const callback = provider.callback();
let latest;

server.on("request", async (request, response) => {
  const { pathname } = new URL(request.url, origin);
  const answer = (status, body) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  if (pathname === "/token") {
    response.on("finish", () => (counts[response.statusCode === 200 ? "tokens" : "refused_grants"] += 1));
    callback(request, response);
  } else if (pathname === "/orders") {
    const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
    const found = (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token));
    if (found?.isValid) {
      latest = found;
      counts.answered += 1;
      answer(200, [{ id: 1 }]);
    } else {
      counts.unauthorized += 1;
      answer(401, { error: "invalid_token" });
    }
  } else if (pathname === "/revoke") {
    await latest.destroy();
    answer(200, {});
  } else {
    answer(200, counts);
  }
});

const grant = new provider.Grant({ accountId: "ada", clientId: "person" });
grant.addOIDCScope("openid offline_access");
const refreshToken = new provider.RefreshToken({
  accountId: "ada",
  client: await provider.Client.find("person"),
  grantId: await grant.save(),
  gty: "authorization_code",
  scope: "openid offline_access",
});
console.log(JSON.stringify({ origin, refresh_token: await refreshToken.save() }));
