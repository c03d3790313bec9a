// SPDX-License-Identifier: Apache-2.0
// A `fetch` that proves with every request that the sender holds the key to which
// its token is bound (RFC 9449). SDKs take it as their documented `fetch` option;
// nothing else about them changes. Node.js 18 or later, no packages.
import { createHash, createPrivateKey, createPublicKey, randomUUID, sign } from 'node:crypto';

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function dpopFetch(token, pem) {
  const key = createPrivateKey(pem); // P-256
  const { kty, crv, x, y } = createPublicKey(key).export({ format: 'jwk' });
  const header = encode({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } });
  const ath = createHash('sha256').update(token).digest('base64url');
  let nonce; // the newest that the server gave

  function proof(method, url) {
    const htu = url.origin + url.pathname; // without query and fragment
    const iat = Math.floor(Date.now() / 1000);
    const signed = `${header}.${encode({ jti: randomUUID(), htm: method, htu, iat, ath, nonce })}`;
    const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
  }

  async function send(url, init) {
    const headers = new Headers(init.headers);
    headers.delete('x-api-key'); // where Anthropic's SDK puts its key
    headers.set('authorization', `DPoP ${token}`);
    headers.set('dpop', proof((init.method ?? 'GET').toUpperCase(), new URL(url)));
    const response = await fetch(url, { ...init, headers });
    const fresh = response.headers.get('dpop-nonce');
    const wanted = fresh && fresh !== nonce && response.status === 401 &&
      /use_dpop_nonce/.test(response.headers.get('www-authenticate') ?? '');
    nonce = fresh ?? nonce;
    return { response, wanted };
  }

  return async function fetchWithProof(url, init = {}) {
    const first = await send(url, init);
    if (!first.wanted || init.body instanceof ReadableStream) return first.response;
    await first.response.body?.cancel();
    return (await send(url, init)).response; // once more, with the nonce
  };
}
