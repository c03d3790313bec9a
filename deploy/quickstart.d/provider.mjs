// SPDX-License-Identifier: Apache-2.0
// Stands in for api.openai.com and api.anthropic.com on one loopback port: accepts
// only their real keys, answers 401 to anything else, logs whose key it saw.
//   node provider.mjs CERTIFICATE KEY KEYS FOLDER
// KEYS has a line "host key" for each key that is good now; it is read for every
// request, so keys can be made and ended. Writes FOLDER/provider.port.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';

const [certificate, key, keys, folder] = process.argv.slice(2);

const isGood = (host, given) =>
  readFileSync(keys, 'utf8').split('\n').includes(`${host} ${given}`) && given !== '';

const openai = {
  keyOf: (headers) => /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? '',
  path: '/v1/chat/completions',
  refusal: { error: { message: 'Incorrect API key provided', type: 'invalid_request_error', param: null, code: 'invalid_api_key' } },
  whole: (model, text) => ({
    id: 'chatcmpl-1', object: 'chat.completion', created: 1, model,
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: text } }],
    usage: { prompt_tokens: 5, completion_tokens: 9, total_tokens: 14 },
  }),
  * events(model, words) {
    const chunk = (delta, reason = null) => `data: ${JSON.stringify({
      id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model,
      choices: [{ index: 0, delta, finish_reason: reason }],
    })}\n\n`;
    for (const content of words) yield chunk({ content });
    yield chunk({}, 'stop');
    yield 'data: [DONE]\n\n';
  },
};

const anthropic = {
  keyOf: (headers) => headers['x-api-key'] ?? '',
  path: '/v1/messages',
  refusal: { type: 'error', error: { type: 'authentication_error', message: 'invalid x-api-key' } },
  whole: (model, text) => ({
    id: 'msg_1', type: 'message', role: 'assistant', model, content: [{ type: 'text', text }], stop_reason: 'end_turn',
    stop_sequence: null, usage: { input_tokens: 5, output_tokens: 9 },
  }),
  * events(model, words) {
    const event = (type, rest) => `event: ${type}\ndata: ${JSON.stringify({ type, ...rest })}\n\n`;
    yield event('message_start', { message: { ...anthropic.whole(model, ''), content: [], stop_reason: null } });
    yield event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } });
    for (const text of words) yield event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } });
    yield event('content_block_stop', { index: 0 });
    yield event('message_delta', { delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 9 } });
    yield event('message_stop', {});
  },
};

const providers = { 'api.openai.com': openai, 'api.anthropic.com': anthropic };

async function bodyOf(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return JSON.parse(Buffer.concat(pieces).toString() || '{}');
}

async function answer(request, response) {
  const host = request.headers.host, provider = providers[host];
  const given = provider?.keyOf(request.headers) ?? '';
  const { model, stream } = await bodyOf(request);
  const json = (status, value) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  const good = provider && isGood(host, given);
  console.log(`${host} ${request.method} ${request.url} key …${given.slice(-4)}: ${good ? 'the real one' : 'refused'}`);
  if (!good) return json(401, provider?.refusal ?? {});
  if (request.method !== 'POST' || request.url !== provider.path) return json(404, { error: { message: 'not here' } });
  const text = `I am ${model} and see the real key that ends in ${given.slice(-4)}.`;
  if (!stream) return json(200, provider.whole(model, text));
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of provider.events(model, text.split(/(?<= )/))) {
    response.write(event);
    await pause(5);
  }
  return response.end();
}

const server = https.createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (request, response) =>
  answer(request, response).catch((error) => {
    console.error(error.stack);
    response.destroy();
  }));
server.listen(0, '127.0.0.1', () => {
  writeFileSync(`${folder}/provider.port.tmp`, String(server.address().port));
  renameSync(`${folder}/provider.port.tmp`, `${folder}/provider.port`);
});
