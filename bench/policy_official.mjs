// SPDX-License-Identifier: Apache-2.0
// node policy_official.mjs BENCH_POLICY: the official Cedar engine (wasm) on the
// cases of bench_policy, with our figures in the same run. The package is the
// one that tests/differential pins.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../tests/differential/cedar.mjs', import.meta.url));
const cedar = require('@cedar-policy/cedar-wasm/nodejs');
const program = process.argv[2];
const seconds = 1;
const rounds = 5;

// The same request as build() in policy.c, as JSON.
function caseOf(groups) {
  const id = 'https://idp.example/realms/acme|6f9619ff-8b86-d011-b42d-00c04fc964ff';
  const uid = (type, name) => ({ type, id: name });
  const entities = [
    { uid: uid('User', id), attrs: { issuer: id.split('|')[0], subject: id.split('|')[1], amr: ['pwd', 'mfa'] },
      parents: [...groups.map((g) => uid('Group', g)), uid('Tenant', 'acme')] },
    { uid: uid('Credential', 'c0'), attrs: { name: 'c0', profile: 'openai', hosts: ['api.openai.com'] }, parents: [uid('Provider', 'p0'), uid('Tenant', 'acme')] },
    { uid: uid('Action', 'issue'), attrs: {}, parents: [uid('Action', 'use')] },
  ];
  const extension = (fn, arg) => ({ __extn: { fn, arg } });
  const context = { sourceIp: extension('ip', '10.1.2.3'), now: extension('datetime', '2025-11-20T10:00:00Z'), models: [], tools: [],
    methods: ['api.openai.com'], bound: true, agentActs: false, lifetime: 300 };
  return { principal: uid('User', id), action: uid('Action', 'issue'), resource: uid('Credential', 'c0'), context, entities, validateRequest: false };
}

for (const size of [10, 100, 1000, 10000]) {
  const { policies, groups } = JSON.parse(execFileSync(program, ['--print', String(size)], { maxBuffer: 1 << 28 }));
  const call = { ...caseOf(groups), preparsedPolicySetId: 'bench' };
  const parsed = cedar.preparsePolicySet('bench', { staticPolicies: policies });
  if (parsed.type !== 'success') throw new Error(JSON.stringify(parsed));
  let decision;
  let us = Infinity;
  for (let round = 0; round < rounds; round++) { // the best one, as in policy.c
    const start = performance.now();
    let calls = 0;
    do {
      for (let i = 0; i < 8; i++, calls++) decision = cedar.statefulIsAuthorized(call).response.decision;
    } while (performance.now() - start < (seconds * 1000) / rounds);
    us = Math.min(us, ((performance.now() - start) / calls) * 1000);
  }
  console.log(`official ${String(size).padStart(5)} policies: build and authorize ${us.toFixed(2)} us (${Math.round(1e6 / us)}/s), ${decision}`);
}
process.stdout.write(execFileSync(program, [String(seconds)]));
