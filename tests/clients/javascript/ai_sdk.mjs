// Vercel's AI SDK with its OpenAI provider, which asks `/v1/responses` unless told otherwise.

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { fails, key, run, url, wrongKey } from "./basics.mjs";

const baseURL = `${url}/v1`;
const parley = createOpenAI({ baseURL, apiKey: key });
const forms = { chat: (id) => parley.chat(id), responses: (id) => parley.responses(id) };
const prompt = "Hello";

/** Ask once: no retries, and no warnings on the way. */
function ask(model, more = {}) {
  return generateText({ model, prompt, maxRetries: 0, ...more });
}

function checksOf(name, model) {
  return {
    async [`${name}_chat`]() {
      const answer = await ask(model("default"));
      assert(answer.text);
      assert(answer.usage.outputTokens > 0);
    },
    async [`${name}_stream`]() {
      const answer = streamText({ model: model("default"), prompt, maxRetries: 0 });
      let text = "";
      for await (const piece of answer.textStream) text += piece;
      assert(text);
      assert((await answer.usage).outputTokens > 0);
    },
    async [`${name}_tools`]() {
      const asked = [];
      const weather = tool({
        inputSchema: z.object({ city: z.string() }),
        execute: async (input) => asked.push(input.city) && "Sunny",
      });
      const answer = await ask(model("default"), { tools: { weather }, stopWhen: stepCountIs(2) });
      assert.equal(asked.length, 1);
      assert(answer.text);
    },
    async [`${name}_turns`]() {
      const messages = [{ role: "user", content: "Hello" }];
      const weather = tool({ inputSchema: z.object({ city: z.string() }), execute: () => "Sunny" });
      const tools = { weather };
      for (const next of ["How is the weather?", "And now?"]) {
        const asked = { prompt: undefined, messages, tools, stopWhen: stepCountIs(2) };
        const answer = await ask(model("default"), asked);
        assert(answer.text);
        assert.deepEqual(answer.warnings, []);
        messages.push(...answer.response.messages, { role: "user", content: next });
      }
      const answer = streamText({ model: model("default"), messages, maxRetries: 0 });
      assert(await answer.text);
    },
    async [`${name}_structured`]() {
      const output = Output.object({ schema: z.object({ city: z.string() }) });
      const answer = await ask(model("default"), { output });
      assert.equal(typeof answer.output.city, "string");
    },
    async [`${name}_error_404`]() {
      await fails(
        () => ask(model("no-such-model")),
        (error) => APICallError.isInstance(error) && error.statusCode === 404,
      );
    },
    async [`${name}_error_429`]() {
      await fails(
        () => ask(model("fault-429")),
        (error) => APICallError.isInstance(error) && error.statusCode === 429,
      );
    },
  };
}

await run({
  ...checksOf("chat", forms.chat),
  ...checksOf("responses", forms.responses),
  async embeddings() {
    const model = parley.embedding("demo-embedding");
    const { embeddings, usage } = await embedMany({ model, values: ["one", "two"], maxRetries: 0 });
    assert.equal(embeddings.length, 2);
    assert(usage.tokens > 0);
  },
  async error_400() {
    await fails(
      () => ask(forms.chat("default"), { temperature: 9 }),
      (error) => APICallError.isInstance(error) && error.statusCode === 400,
    );
  },
  async error_401() {
    const wrong = createOpenAI({ baseURL, apiKey: wrongKey });
    await fails(
      () => ask(wrong.chat("default")),
      (error) => APICallError.isInstance(error) && error.statusCode === 401,
    );
  },
});
