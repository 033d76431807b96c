// Photos on their way to the service: a few at a time, in the order in which they came.
//
// After an error they wait for the next start; photos that the service refuses for themselves are dropped.

import { addPhotos } from "./service.js";

const MAX_FILES = 12; // of a request: small ones, so that the counts move
const MAX_BYTES = 12 << 20;
const WORTH_WAITING = new Set(["queue_full", "out_of_memory", "too_much_memory", "no_capacity", "key_limit_exceeded"]);
const LONGEST_WAIT_S = 10;
const isOfTheseFiles = ({ code, status }) => code === "unreadable" || ([400, 413, 415].includes(status) && code !== "store_full");

// `nameOf` gives the name of the set; `told` is called with the response to each request, `refused` with the error
// of photos that aren't sent again.
export function uploads({ nameOf, told, refused, changed, failed }) {
  let waiting = []; // {card, file}
  const sending = new Map(); // card -> how many of its photos are on their way
  let running = null;

  const countOf = (card) => waiting.filter((item) => item.card === card).length + (sending.get(card) ?? 0);

  function add(card, files) {
    waiting.push(...files.map((file) => ({ card, file })));
    changed(card);
    return start();
  }

  // Sends what waits; returns whether all of it was sent.
  function start() {
    running ??= run().finally(() => (running = null));
    return running;
  }

  // Forgets the photos of a card that wait, or all of them.
  function drop(card = null) {
    waiting = waiting.filter((item) => card && item.card !== card);
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
    return [card, batch];
  }

  async function run() {
    let isComplete = true;
    while (waiting.length) {
      const [card, batch] = nextBatch();
      const files = batch.map((item) => item.file);
      sending.set(card, files.length);
      try {
        const answer = await sent(card, files);
        sending.delete(card);
        told(card, files, answer);
      } catch (error) {
        sending.delete(card);
        if (!isOfTheseFiles(error)) {
          waiting.unshift(...batch);
          changed(card);
          failed(error, start);
          return false;
        }
        isComplete = false;
        refused(card, files, error);
      }
      changed(card);
    }
    return isComplete;
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

  return { add, countOf, drop, isBusy: () => running !== null, settled: start };
}
