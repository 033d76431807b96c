// Thumbnails of photos: a few at a time, those that are on the screen first, the last thousands kept.

import * as service from "./service.js";

const SIDE = 240;
const AT_ONCE = 4; // two of a browser's six connections stay free for labels
const KEPT = 3000; // about 30 MB
const PAUSE_S = 1; // where the service names no time

export function thumbnails(loaded, failed) {
  const urls = new Map(); // by id, the last one used at the end; null: it has no picture
  const loading = new Map(); // by id
  let wanted = [];
  let pausedUntil = 0;

  function urlOf(id) {
    const url = urls.get(id);
    if (url === undefined) return undefined;
    urls.delete(id);
    urls.set(id, url);
    return url;
  }

  // Loads these, in this order, and no others that haven't begun.
  function want(list) {
    wanted = list.filter((id) => !urls.has(id) && !loading.has(id));
    const near = new Set(list);
    for (const [id, begun] of loading) if (!near.has(id)) begun.abort();
    pump();
  }

  function pump() {
    const pause = pausedUntil - performance.now();
    if (pause > 0) return;
    while (loading.size < AT_ONCE && wanted.length) load(wanted.shift());
  }

  async function load(id) {
    const begun = new AbortController();
    loading.set(id, begun);
    try {
      keep(id, URL.createObjectURL(await service.image(id, SIDE, begun.signal)));
      loaded(id);
    } catch (error) {
      if (!begun.signal.aborted) give(id, error);
    } finally {
      loading.delete(id);
      pump();
    }
  }

  function give(id, error) {
    if (error.status === 429 || error.status === 503 || error.status === 504) {
      wanted.unshift(id);
      const pause = 1000 * (error.retryAfter ?? PAUSE_S);
      pausedUntil = performance.now() + pause;
      setTimeout(pump, pause + 1);
    } else if (error.status >= 400 && error.status !== 401 && error.status !== 403) {
      keep(id, null);
      loaded(id);
    } else {
      wanted = [];
      failed(error);
    }
  }

  function keep(id, url) {
    urls.set(id, url);
    if (urls.size <= KEPT) return;
    const [oldest, gone] = urls.entries().next().value;
    urls.delete(oldest);
    if (gone) URL.revokeObjectURL(gone);
  }

  return { urlOf, want };
}
