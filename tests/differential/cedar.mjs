// SPDX-License-Identifier: Apache-2.0
// node cedar.mjs HELPER [--seed N] [--requests N]: our engine (HELPER, the
// program cedar_answer) and the official one answer the same random cases.
// Prints each difference with the seed of its case and ends with status 1.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import * as generate from './generate.mjs';

const cedar = createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs');
const [helperPath, ...options] = process.argv.slice(2);
const option = (name, standard) => {
  const at = options.indexOf('--' + name);
  return at < 0 ? standard : Number(options[at + 1]);
};
const seed = option('seed', Math.floor(Math.random() * 2 ** 31));
const wanted = option('requests', 100000);

const helper = spawn(helperPath, { stdio: ['pipe', 'pipe', 'inherit'] });
const lines = createInterface({ input: helper.stdout })[Symbol.asyncIterator]();
async function ours(question) {
  helper.stdin.write(JSON.stringify(question) + '\n');
  const line = await lines.next();
  if (line.done) throw new Error('our program ended');
  return JSON.parse(line.value);
}

const count = { cases: 0, requests: 0, texts: 0, refused: 0, allowed: 0, erring: 0, entitiesRefused: 0, differences: 0 };
function differ(what, caseSeed, detail) {
  count.differences++;
  console.log(`DIFFERENCE ${what}, seed ${caseSeed}\n${detail}\n`);
  if (count.differences >= option('stop', 10)) finish();
}
function finish() {
  console.log(`seed ${seed}: ${JSON.stringify(count)}`);
  process.exit(count.differences === 0 ? 0 : 1);
}

// Policies, templates and links; the text for us has them all in order.
function policySet(r) {
  const size = r.chance(0.12) ? 30 + r.below(40) : 1 + r.below(12);
  const parts = { texts: [], staticPolicies: {}, templates: {}, templateLinks: [] };
  for (let i = 0; i < size; i++) {
    const slots = r.chance(0.15) ? r.pick([{ principal: true }, { resource: true }, { principal: true, resource: true }]) : null;
    const text = slots ? generate.policy(r, slots) : r.chance(0.05) ? generate.deepPolicy(r) : generate.policy(r);
    parts.texts.push(text);
    if (!slots) {
      parts.staticPolicies['policy' + i] = text;
      continue;
    }
    parts.templates['policy' + i] = text;
    for (let j = r.below(3); j > 0; j--) {
      const values = {};
      for (const name of Object.keys(slots)) values['?' + name] = generate.request(r, []).principal;
      parts.templateLinks.push({ templateId: 'policy' + i, newId: `link${i}.${j}`, values });
    }
  }
  return parts;
}

async function compareAnswers(caseSeed) {
  const r = new generate.Random(caseSeed);
  const parts = policySet(r);
  const entities = generate.entities(r);
  const requests = r.some(4, 12, () => generate.request(r, entities));
  const answer = await ours({ policies: parts.texts.join('\n'), links: parts.templateLinks, entities, requests });
  const { texts, ...theirs } = parts;
  const parsed = cedar.preparsePolicySet('set', theirs);
  const detail = () => texts.map((t, i) => `policy${i}: ${t}`).join('\n');
  count.cases++;
  if ((parsed.type === 'success') !== answer.parsed) return differ('in parsing a generated set', caseSeed, detail() + JSON.stringify(parsed));
  if (!answer.parsed) return;
  const entitiesParsed = cedar.checkParseEntities({ entities });
  if ((entitiesParsed.type === 'success') !== answer.entities) return differ('in entities', caseSeed, JSON.stringify(entitiesParsed) + JSON.stringify(entities));
  count.entitiesRefused += !answer.entities;
  if (!answer.entities) return;
  requests.forEach((request, i) => {
    const reply = cedar.statefulIsAuthorized({ ...request, entities, preparsedPolicySetId: 'set', validateRequest: false });
    count.requests++;
    if (reply.type !== 'success') {
      if (answer.answers[i] !== null) differ('in a refused request', caseSeed, JSON.stringify(reply.errors) + JSON.stringify(request));
      return;
    }
    const { decision, diagnostics } = reply.response;
    const their = { decision, reason: [...diagnostics.reason].sort(), errors: diagnostics.errors.map((e) => e.policyId).sort() };
    const our = answer.answers[i] && { decision: answer.answers[i].decision, reason: answer.answers[i].reason.sort(), errors: answer.answers[i].errors.sort() };
    count.allowed += decision === 'allow';
    count.erring += their.errors.length > 0;
    if (JSON.stringify(their) !== JSON.stringify(our))
      differ('in an answer', caseSeed, `${JSON.stringify(their)}\nours ${JSON.stringify(our)}\n${JSON.stringify(request)}\n${JSON.stringify(diagnostics.errors)}\n${detail()}`);
  });
}

async function compareTexts(caseSeed) {
  const r = new generate.Random(caseSeed);
  for (let i = 0; i < 12; i++) {
    const text = generate.wound(r, generate.policy(r));
    const parsed = cedar.checkParsePolicySet({ staticPolicies: text });
    const answer = await ours({ policies: text });
    // As static policies the official engine refuses a template, which we parse.
    const isTemplate = parsed.type === 'failure' && JSON.stringify(parsed.errors).includes('static policy set includes a template');
    count.texts++;
    count.refused += parsed.type !== 'success';
    if (!isTemplate && (parsed.type === 'success') !== answer.parsed) differ('in a text', caseSeed, `${text}\nours ${answer.parsed} theirs ${JSON.stringify(parsed)}`);
  }
}

for (let i = 0; count.requests < wanted; i++) {
  const caseSeed = (seed + i * 7919) >>> 0;
  await compareAnswers(caseSeed);
  if (i % 2 === 0) await compareTexts(caseSeed);
}
finish();
