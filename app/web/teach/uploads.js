// Photos on their way to the service: a few at a time, in the order in which they came.

import { addPhotos } from "./service.js";

const MAX_FILES = 12; // of a request: small ones, so that the counts move
const MAX_BYTES = 12 << 20;
const WORTH_WAITING = new Set(["queue_full", "out_of_memory", "too_much_memory", "no_capacity", "key_limit_exceeded"]);
const LONGEST_WAIT_S = 10;

// `nameOf` gives the name of the set; `told` is called with the response to each request.
export function uploads({ nameOf, told, changed, failed }) {
  const waiting = []; // {card, file}
  const sending = new Map(); // card -> how many of its photos are on their way
  let running = null;

  const countOf = (card) => waiting.filter((item) => item.card === card).length + (sending.get(card) ?? 0);

  function add(card, files) {
    waiting.push(...files.map((file) => ({ card, file })));
    changed(card);
    running ??= run().finally(() => (running = null));
    return running;
  }

  // The next photos of one card that go into one request.
  function nextBatch() {
    const { card } = waiting[0];
    const batch = [];
    let bytes = 0;
    for (const item of waiting) {
      if (batch.length === MAX_FILES || item.card !== card) break;
      if (batch.length && bytes + item.file.size > MAX_BYTES) break;
      batch.push(item);
      bytes += item.file.size;
    }
    waiting.splice(0, batch.length);
    return [card, batch.map((item) => item.file)];
  }

  async function run() {
    while (waiting.length) {
      const [card, files] = nextBatch();
      sending.set(card, files.length);
      try {
        const answer = await sent(card, files);
        sending.delete(card);
        told(card, files, answer);
      } catch (error) {
        sending.delete(card);
        const left = [...files.map((file) => ({ card, file })), ...waiting.splice(0)];
        for (const other of new Set(left.map((item) => item.card))) changed(other);
        failed(error, () => {
          for (const item of left) add(item.card, [item.file]);
        });
        return;
      }
      changed(card);
    }
  }

  async function sent(card, files) {
    for (;;) {
      try {
        return await addPhotos(nameOf(), card.label(), files);
      } catch (error) {
        if (!WORTH_WAITING.has(error.code) || !error.retryAfter) throw error;
        await new Promise((done) => setTimeout(done, 1000 * Math.min(LONGEST_WAIT_S, error.retryAfter)));
      }
    }
  }

  return { add, countOf, isBusy: () => running !== null, settled: () => running ?? Promise.resolve() };
}
