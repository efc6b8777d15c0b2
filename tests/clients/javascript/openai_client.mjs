// OpenAI's client for Node: chat completions, responses, embeddings, models, errors.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { city, fails, hello, key, run, url, wrongKey } from "./basics.mjs";

const baseURL = `${url}/v1`;
const client = new OpenAI({ baseURL, apiKey: key, maxRetries: 0 });
const tools = [{ type: "function", function: { name: "weather", parameters: city } }];

function ask(more) {
  return client.chat.completions.create({ model: "default", messages: hello, ...more });
}

await run({
  async models() {
    const listed = [];
    for await (const model of client.models.list()) listed.push(model.id);
    assert(listed.includes("default"), listed);
    assert.equal((await client.models.retrieve("default")).id, "default");
  },
  async chat() {
    const answer = await ask({});
    assert(answer.choices[0].message.content);
    assert(answer.usage.completion_tokens > 0);
  },
  async stream() {
    const chunks = [];
    const options = { stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await ask(options)) chunks.push(chunk);
    const last = chunks.pop();
    assert(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""));
    assert.deepEqual(last.choices, []);
    assert(last.usage.completion_tokens > 0);
  },
  async tools() {
    const asked = (await ask({ tools })).choices[0].message;
    assert("city" in JSON.parse(asked.tool_calls[0].function.arguments));
    const result = { role: "tool", tool_call_id: asked.tool_calls[0].id, content: "Sunny" };
    const answer = await ask({ tools, messages: [...hello, asked, result] });
    assert(answer.choices[0].message.content);
  },
  async structured() {
    const schema = z.object({ city: z.string() });
    const answer = await client.chat.completions.parse({
      model: "default",
      messages: hello,
      response_format: zodResponseFormat(schema, "city"),
    });
    assert.equal(typeof answer.choices[0].message.parsed.city, "string");
  },
  async embeddings() {
    const model = "demo-embedding";
    const both = await client.embeddings.create({ model, input: ["one", "two"] });
    const plain = await client.embeddings.create({ model, input: "one", encoding_format: "float" });
    assert.equal(both.data.length, 2);
    assert.deepEqual(both.data[0].embedding, plain.data[0].embedding);
  },
  async responses() {
    const answer = await client.responses.create({ model: "default", input: "Hello" });
    assert(answer.output_text);
    let text = "";
    const events = await client.responses.create({ model: "default", input: "Hello", stream: true });
    for await (const event of events) {
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    assert.equal(text, answer.output_text);
  },
  async error_400() {
    await fails(
      () => ask({ temperature: 9 }),
      (error) => error instanceof OpenAI.BadRequestError && error.param === "temperature",
    );
  },
  async error_401() {
    const wrong = new OpenAI({ baseURL, apiKey: wrongKey, maxRetries: 0 });
    await fails(
      () => wrong.models.list(),
      (error) => error instanceof OpenAI.AuthenticationError && error.code === "invalid_api_key",
    );
  },
  async error_404() {
    await fails(
      () => ask({ model: "no-such-model" }),
      (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found",
    );
  },
  async error_429() {
    await fails(
      () => ask({ model: "fault-429" }),
      (error) => error instanceof OpenAI.RateLimitError && error.code === "provider_rate_limited",
    );
  },
});
