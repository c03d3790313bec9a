// SPDX-License-Identifier: Apache-2.0
// Alice's program: the providers' own SDKs, with a token of the vault in place of
// an API key. Settings come from the environment:
//   FORWARDER  https://host:port of nginx
//   TOKEN      file with the token          KEY  file with its private key (PEM);
//                                                without: the token goes alone
// node client.mjs openai chat gpt-4o-mini     one call, or
// node client.mjs                             a call for each line of input, all
//                                             with the same two client objects
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { dpopFetch } from './dpop-fetch.mjs';

const { FORWARDER, TOKEN, KEY } = process.env;
const token = readFileSync(TOKEN, 'utf8').trim();
const withProof = KEY ? { fetch: dpopFetch(token, readFileSync(KEY)) } : {};

const openai = new OpenAI({ apiKey: token, baseURL: `${FORWARDER}/openai/v1`, ...withProof });
const anthropic = new Anthropic({ apiKey: token, baseURL: `${FORWARDER}/anthropic`, ...withProof });

const messages = [{ role: 'user', content: 'Which key do you see?' }];
const calls = {
  'openai chat': async (model) => (await openai.chat.completions.create({ model, messages })).choices[0].message.content,
  'openai stream': async (model) => {
    const parts = [];
    for await (const chunk of await openai.chat.completions.create({ model, messages, stream: true }))
      if (chunk.choices[0]?.delta?.content) parts.push(chunk.choices[0].delta.content);
    return `${parts.join('')} [${parts.length} pieces]`;
  },
  'anthropic chat': async (model) =>
    (await anthropic.messages.create({ model, messages, max_tokens: 100 })).content[0].text,
  'anthropic stream': async (model) => {
    const parts = [];
    const stream = anthropic.messages.stream({ model, messages, max_tokens: 100 });
    stream.on('text', (text) => parts.push(text));
    await stream.finalMessage();
    return `${parts.join('')} [${parts.length} pieces]`;
  },
};

async function call(line) {
  const [provider, how, model] = line.trim().split(/\s+/);
  const make = calls[`${provider} ${how}`];
  if (!make || !model) return 'usage: openai|anthropic chat|stream MODEL';
  try {
    return `answer: ${await make(model)}`;
  } catch (error) {
    // The SDK's own class, such as AuthenticationError or PermissionDeniedError.
    return `${error.constructor.name}: ${error.message}`;
  }
}

if (process.argv.length > 2) {
  const line = await call(process.argv.slice(2).join(' '));
  console.log(line);
  process.exitCode = line.startsWith('answer: ') ? 0 : 3;
} else {
  for await (const line of createInterface({ input: process.stdin })) console.log(await call(line));
}
