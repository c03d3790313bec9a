// SPDX-License-Identifier: Apache-2.0
// node schema.mjs: the official validator accepts schemas/vault.cedarschema, and
// every policy in deploy/policies is valid under it in strict mode.
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';

const cedar = createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs');
const root = new URL('../../', import.meta.url);
const schema = readFileSync(new URL('schemas/vault.cedarschema', root), 'utf8');
let wrong = 0;
const report = (name, problems) => {
  wrong += problems.length;
  console.log(`${problems.length ? 'FAILED' : 'ok'} ${name}`);
  for (const problem of problems) console.log('  ' + (problem.error?.message ?? problem.message ?? JSON.stringify(problem)));
};

const parsed = cedar.checkParseSchema(schema);
report('schemas/vault.cedarschema', parsed.type === 'success' ? [] : parsed.errors);
const folder = new URL('deploy/policies/', root);
const names = readdirSync(folder).filter((name) => name.endsWith('.cedar'));
if (names.length === 0) report('deploy/policies', [{ message: 'there is none' }]);
for (const name of names) {
  const parts = cedar.policySetTextToParts(readFileSync(new URL(name, folder), 'utf8'));
  if (parts.type !== 'success') {
    report(name, parts.errors);
    continue;
  }
  const named = (texts, prefix) => Object.fromEntries(texts.map((text, i) => [prefix + i, text]));
  const policies = { staticPolicies: named(parts.policies, 'policy'), templates: named(parts.policy_templates, 'template') };
  const answer = cedar.validate({ validationSettings: { mode: 'strict' }, schema, policies });
  report(name, answer.type === 'success' ? answer.validationErrors : answer.errors);
}
process.exit(wrong === 0 ? 0 : 1);
