// All photos of the list: their ids in order, and what is known of those that were looked at.

import * as service from "./service.js";

const CHUNK = 100; // photos that are described together
const WAIT_MS = 60; // between two looks at what is on the screen, while the list flies past

export function photos(described, failed) {
  let ids = [];
  let places = new Map(); // by id
  const known = new Map(); // what is known of a photo, by id
  const asked = new Set(); // chunks
  let round = new AbortController();
  let timer = 0;
  let span = [0, 0];

  function show(list) {
    round.abort();
    round = new AbortController();
    asked.clear();
    known.clear();
    ids = list;
    places = new Map(ids.map((id, place) => [id, place]));
  }

  // Describes the photos from `first` to `last` soon, if they aren't yet.
  function want(first, last) {
    span = [first, last];
    timer ||= setTimeout(() => {
      timer = 0;
      for (let chunk = Math.floor(span[0] / CHUNK); chunk <= Math.floor(span[1] / CHUNK); chunk += 1)
        if (!asked.has(chunk)) ask(chunk);
    }, WAIT_MS);
  }

  async function ask(chunk) {
    const { signal } = round;
    asked.add(chunk);
    try {
      const wanted = ids.slice(chunk * CHUNK, (chunk + 1) * CHUNK).filter((id) => !known.has(id));
      if (wanted.length) learn(await service.describe(wanted, signal));
      described();
    } catch (error) {
      if (signal.aborted) return;
      asked.delete(chunk);
      failed(error);
    }
  }

  // What is known already has what was said meanwhile.
  function learn(captures) {
    for (const capture of captures) if (places.has(capture.id) && !known.has(capture.id)) known.set(capture.id, capture);
  }

  return {
    show,
    want,
    get count() {
      return ids.length;
    },
    idAt: (place) => ids[place],
    placeOf: (id) => places.get(id),
    of: (id) => known.get(id),
    at: (place) => known.get(ids[place]),
    // Describes these photos now, even if another list is shown meanwhile; those that are gone are left out.
    async all(wanted) {
      const found = new Map(wanted.map((id) => [id, known.get(id)]));
      const missing = wanted.filter((id) => !known.has(id));
      if (missing.length) for (const capture of await service.describe(missing)) found.set(capture.id, capture);
      learn([...found.values()].filter(Boolean));
      return wanted.map((id) => known.get(id) ?? found.get(id)).filter(Boolean);
    },
    // Describes these photos again: soon if they are on the screen, else once they are looked at.
    forget(wanted) {
      for (const id of wanted) {
        known.delete(id);
        asked.delete(Math.floor(places.get(id) / CHUNK));
      }
      want(...span);
    },
    set(id, said) {
      const capture = known.get(id);
      if (capture) known.set(id, { ...capture, ...said });
    },
    drop(gone) {
      const left = new Set(gone);
      for (const id of gone) known.delete(id);
      ids = ids.filter((id) => !left.has(id));
      places = new Map(ids.map((id, place) => [id, place]));
      asked.clear();
    },
  };
}
