// The server-sent events of a job. EventSource can't send a key, so that they are read from a fetch.

import { events } from "./service.js";

const ENDED = new Set(["done", "failed", "cancelled", "interrupted"]);
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

export const hasEnded = (job) => ENDED.has(job.state);

// Calls `told` with each state of a job until it has ended; begins again where the connection breaks off.
export async function follow(id, told, signal) {
  let wait = FIRST_WAIT_MS;
  while (!signal.aborted) {
    try {
      const answer = await events(id, signal);
      for await (const job of parsed(answer.body)) {
        wait = FIRST_WAIT_MS;
        told(job);
        if (hasEnded(job)) return;
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status >= 400 && error.status < 500 && error.status !== 429) throw error;
    }
    await new Promise((done) => setTimeout(done, wait));
    wait = Math.min(LONGEST_WAIT_MS, 2 * wait);
  }
}

// Events are parts of a text that end with an empty line; of their lines only `data` counts here.
async function* parsed(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text = (text + value).replaceAll("\r\n", "\n");
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const lines = text.slice(0, end).split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length) yield JSON.parse(lines.map((line) => line.slice(5).trimStart()).join("\n"));
    }
  }
}
