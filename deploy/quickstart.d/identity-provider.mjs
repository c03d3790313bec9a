// SPDX-License-Identifier: Apache-2.0
// Two OpenID providers on loopback, from the npm package oidc-provider: one where
// people sign in, one that vouches for build jobs. Both sign with RS256. It is a
// stand-in: Alice is not asked for a password.
//   node identity-provider.mjs CERTIFICATE KEY FOLDER
// writes FOLDER/people.url and FOLDER/builds.url when it answers.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import Provider from 'oidc-provider';

const [certificate, key, folder] = process.argv.slice(2);
const tls = { cert: readFileSync(certificate), key: readFileSync(key) };

// Nobody but clients of the quick start knows it.
const buildSecret = randomBytes(24).toString('base64url');
writeFileSync(`${folder}/build-client.secret`, buildSecret, { mode: 0o600 });

function common(kid) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
  };
}

const people = {
  ...common('people-1'),
  // A program on Alice's machine (RFC 8252): no secret, PKCE instead.
  clients: [{
    client_id: 'vault', application_type: 'native', token_endpoint_auth_method: 'none',
    redirect_uris: ['http://127.0.0.1/signed-in'], grant_types: ['authorization_code'], response_types: ['code'],
  }],
  claims: { openid: ['sub', 'groups'] },
  conformIdTokenClaims: false, // claims go into the ID token
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, groups: ['engineers'] }) }),
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/sign-in/${interaction.uid}` },
  ttl: { IdToken: 900, AccessToken: 900, Session: 900, Grant: 900, Interaction: 60 },
  async loadExistingGrant({ oidc }) { // consent is given once and for all
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope('openid');
    await grant.save();
    return grant;
  },
};

const builds = {
  ...common('builds-1'),
  clients: [{
    client_id: 'build-4711', client_secret: buildSecret, redirect_uris: [], response_types: [],
    grant_types: ['client_credentials'],
  }],
  ttl: { ClientCredentials: 900 },
  extraTokenClaims: () => ({ repository: 'acme/shop', ref: 'refs/heads/main' }),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: { // RFC 8707: makes the access token a JWT (RFC 9068) for that audience
      enabled: true,
      getResourceServerInfo: () => ({ scope: '', audience: 'vault', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
    },
  },
};

function serve(name, configuration) {
  const server = https.createServer(tls);
  server.listen(0, '127.0.0.1', () => {
    const issuer = `https://localhost:${server.address().port}`;
    const provider = new Provider(issuer, configuration);
    provider.use(async (ctx, next) => {
      if (!ctx.path.startsWith('/sign-in/')) return next();
      ctx.respond = false;
      return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: 'alice' }, consent: {} });
    });
    provider.on('server_error', (_, error) => console.error(`${name}: ${error.stack}`));
    server.on('request', provider.callback());
    server.on('request', (request) => console.log(`${name}: ${request.method} ${request.url.split('?')[0]}`));
    writeFileSync(`${folder}/${name}.url.tmp`, issuer);
    renameSync(`${folder}/${name}.url.tmp`, `${folder}/${name}.url`);
  });
}

serve('people', people);
serve('builds', builds);
