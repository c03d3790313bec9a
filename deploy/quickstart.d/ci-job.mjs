// SPDX-License-Identifier: Apache-2.0
// A job of a build system that nobody changed for the vault: the SDK finds
// OPENAI_BASE_URL and OPENAI_API_KEY in the environment, as always.
import OpenAI from 'openai';

const answer = await new OpenAI().chat.completions.create({
  model: 'gpt-4o-mini',
  messages: [{ role: 'user', content: 'Which key do you see?' }],
});
console.log(`answer: ${answer.choices[0].message.content}`);
