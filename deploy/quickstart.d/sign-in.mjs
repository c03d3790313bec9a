// SPDX-License-Identifier: Apache-2.0
// Gets a token of the identity provider and prints it, in the two usual ways:
//   node sign-in.mjs person ISSUER            authorization code with PKCE: ID token
//   node sign-in.mjs build ISSUER SECRETFILE  client credentials: access token (JWT)
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import https from 'node:https';

const [who, issuer, secretFile] = process.argv.slice(2);
const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();

async function tokens(form, headers = {}) {
  const response = await fetch(metadata.token_endpoint, { method: 'POST', headers, body: new URLSearchParams(form) });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

// What a browser would do: follow the redirects, keep the cookies. Not with fetch:
// that of Debian's Node.js does not tell one cookie from the next.
async function codeOf(url) {
  const cookies = new Map();
  for (let hop = 0; hop < 10; hop++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const [response] = await once(https.get(url, { headers: { cookie } }), 'response');
    response.resume();
    for (const line of response.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(name, value);
    }
    if (!response.headers.location) throw new Error(`${response.statusCode} for ${url.pathname}`);
    url = new URL(response.headers.location, url);
    if (url.pathname === '/signed-in') {
      if (!url.searchParams.has('code')) throw new Error(url.search);
      return url.searchParams.get('code');
    }
  }
  throw new Error('too many redirects');
}

async function person() {
  const verifier = randomBytes(32).toString('base64url');
  const redirect = 'http://127.0.0.1/signed-in';
  const url = new URL(metadata.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: 'vault', response_type: 'code', scope: 'openid', redirect_uri: redirect, code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  });
  const code = await codeOf(url);
  return (await tokens({ grant_type: 'authorization_code', client_id: 'vault', code, redirect_uri: redirect,
    code_verifier: verifier })).id_token;
}

async function build() {
  const basic = Buffer.from(`build-4711:${readFileSync(secretFile, 'utf8')}`).toString('base64');
  return (await tokens({ grant_type: 'client_credentials', resource: 'https://vault.invalid' },
    { authorization: `Basic ${basic}` })).access_token;
}

console.log(await (who === 'person' ? person() : build()));
