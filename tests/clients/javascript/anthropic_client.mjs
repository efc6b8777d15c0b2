// Anthropic's client for Node on `/v1/messages`.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { city, fails, hello, key, run, url, wrongKey } from "./basics.mjs";

const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
const tools = [{ name: "weather", input_schema: city }];

function ask(more, asking = client) {
  return asking.messages.create({ model: "default", max_tokens: 500, messages: hello, ...more });
}

await run({
  async chat() {
    const answer = await ask({ system: "Be kind." });
    assert(answer.content[0].text);
    assert.equal(answer.stop_reason, "end_turn");
    assert(answer.usage.output_tokens > 0);
  },
  async stream() {
    const events = client.messages.stream({ model: "default", max_tokens: 500, messages: hello });
    let text = "";
    events.on("text", (delta) => (text += delta));
    const whole = await events.finalMessage();
    assert(text);
    assert.equal(whole.content[0].text, text);
    assert(whole.usage.output_tokens > 0);
  },
  async tools() {
    const asked = await ask({ tools });
    assert.equal(asked.stop_reason, "tool_use");
    const use = asked.content.find((block) => block.type === "tool_use");
    assert("city" in use.input);
    const result = { type: "tool_result", tool_use_id: use.id, content: "Sunny" };
    const messages = [
      ...hello,
      { role: "assistant", content: asked.content },
      { role: "user", content: [result] },
    ];
    assert.equal((await ask({ tools, messages })).content[0].type, "text");
  },
  async error_400() {
    await fails(
      () => ask({ max_tokens: 0 }),
      (error) => error instanceof Anthropic.BadRequestError,
    );
  },
  async error_401() {
    const wrong = new Anthropic({ baseURL: url, apiKey: wrongKey, maxRetries: 0 });
    await fails(
      () => ask({}, wrong),
      (error) => error instanceof Anthropic.AuthenticationError,
    );
  },
  async error_404() {
    await fails(
      () => ask({ model: "no-such-model" }),
      (error) => error instanceof Anthropic.NotFoundError,
    );
  },
  async error_429() {
    await fails(
      () => ask({ model: "fault-429" }),
      (error) => error instanceof Anthropic.RateLimitError,
    );
  },
});
