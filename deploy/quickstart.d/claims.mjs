// SPDX-License-Identifier: Apache-2.0
// node claims.mjs FILE: what a JWT says, a claim a line. Verifies nothing.
import { readFileSync } from 'node:fs';

const payload = readFileSync(process.argv[2], 'utf8').split('.')[1];
for (const [name, value] of Object.entries(JSON.parse(Buffer.from(payload, 'base64url')))) {
  const text = ['exp', 'iat', 'nbf', 'auth_time'].includes(name) ? new Date(value * 1000).toISOString() :
    typeof value === 'string' ? value : JSON.stringify(value);
  console.log(`${name.padEnd(22)}${text}`);
}
