// Asks the server with OpenAI's client for Node: an answer, a stream, a tool, a response, a refusal.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: process.env.KEY, maxRetries: 0 });
const messages = [{ role: "user", content: "Where is the Louvre?" }];
const tools = [
  { type: "function", function: { name: "weather", parameters: { type: "object" } } },
];

const whole = await client.chat.completions.create({ model: "auto", messages });
let stream = "";
for await (const piece of await client.chat.completions.create({
  model: "fast",
  messages,
  stream: true,
})) {
  stream += piece.choices[0]?.delta?.content ?? "";
}
const called = await client.chat.completions.create({ model: "auto", messages, tools });
let streamed = "";
for await (const event of await client.responses.create({
  model: "auto",
  input: "Where is the Louvre?",
  stream: true,
})) {
  if (event.type === "response.output_text.delta") streamed += event.delta;
}
const vectors = await client.embeddings.create({ model: "vectors", input: ["a", "b"] });
let refusal = null;
try {
  await client.chat.completions.create({ model: "gpt-9", messages });
} catch (error) {
  refusal = [error.constructor.name, error.status, error.code];
}
console.log(
  JSON.stringify({
    text: whole.choices[0].message.content,
    tokens: whole.usage.total_tokens,
    stream,
    tool: called.choices[0].message.tool_calls[0].function.name,
    responses: streamed,
    vectors: vectors.data.map((one) => one.embedding.length),
    refusal,
  }),
);
