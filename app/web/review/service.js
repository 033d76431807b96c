// The routes of kept photos.

import { ask, model as modelOf, models } from "../page/api.js";

export const MOST_IDS = 500; // of one request that changes photos
const DESCRIBED = 100; // of one request that describes them, so that its address stays short

const json = async (answer) => (await answer).json();

export const ids = (filter, signal) => json(ask("captures/ids", { query: filter, signal }));
export const counts = (model) => json(ask("captures/counts", { query: { model } }));
export const image = async (id, size, signal) =>
  (await ask(`captures/${id}/image`, { query: { size }, signal })).blob();

export async function describe(wanted, signal) {
  const found = [];
  for (const id of parts(wanted, DESCRIBED)) {
    const page = await json(ask("captures", { query: { id, count: DESCRIBED }, signal }));
    found.push(...page.captures);
  }
  return found;
}

// Gives photos the same labels: {labels}, or {wrong: true}. `saved` is called with the ids of each request that succeeded.
export async function label(wanted, change, saved) {
  for (const some of parts(wanted, MOST_IDS)) {
    const body = JSON.stringify({ ids: some, ...change });
    await ask("captures", { method: "PATCH", body, type: "application/json" });
    saved(some);
  }
}

export async function remove(wanted) {
  for (const id of parts(wanted, DESCRIBED)) await ask("captures", { method: "DELETE", query: { id } });
}

// What a model knows, or null where it isn't loaded any more.
export const labelsOf = async (model) => {
  const { models: listed } = await models();
  if (!listed.some((each) => each.name === model && each.state === "ready")) return null;
  const found = await modelOf(model).catch(() => null);
  return found && { names: found.label_names, several: found.task === "multi_label" };
};

function parts(list, size) {
  const found = [];
  for (let at = 0; at < list.length; at += size) found.push(list.slice(at, at + size));
  return found;
}
