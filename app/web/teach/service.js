// The routes of datasets, jobs, uploads and versions.

import { ask } from "../page/api.js";

const part = encodeURIComponent;
const json = async (answer) => (await answer).json();
const send = (method, path, value, signal) =>
  json(ask(path, { method, body: JSON.stringify(value), type: "application/json", signal }));

// Sets of photos

export const datasets = async () => (await json(ask("datasets"))).datasets;
export const dataset = (name) => json(ask(`datasets/${part(name)}`));
export const renameLabels = (name, rename) => send("PATCH", `datasets/${part(name)}`, { rename });
export const removeLabels = (name, remove) => send("PATCH", `datasets/${part(name)}`, { remove });
export const deleteDataset = (name) => ask(`datasets/${part(name)}`, { method: "DELETE" });
export const photosOf = (name, label, { count, after } = {}) =>
  json(ask(`datasets/${part(name)}/photos`, { query: { label, count, after } }));
export const photo = async (name, id) =>
  (await ask(`datasets/${part(name)}/photos/${part(id)}/image`)).blob();
export const deletePhotos = (name, id) =>
  json(ask(`datasets/${part(name)}/photos`, { method: "DELETE", query: { id } }));

// With `move`, photos that are there under other labels get this one instead.
export function addPhotos(name, label, files, { move = false } = {}) {
  const body = new FormData();
  body.append("label", label);
  if (move) body.append("move", "true");
  for (const file of files) body.append("file", file, file.name);
  return json(ask(`datasets/${part(name)}/photos`, { method: "POST", body }));
}

export const addZip = (name, file) =>
  json(ask(`datasets/${part(name)}/photos`, { method: "POST", body: file, type: "application/zip" }));

// Jobs

export const jobs = async () => (await json(ask("jobs"))).jobs;
export const start = (request) => send("POST", "jobs", request);
export const resume = (id) => json(ask(`jobs/${part(id)}/resume`, { method: "POST" }));
export const cancel = (id) => ask(`jobs/${part(id)}`, { method: "DELETE" });
export const events = (id, signal) =>
  ask(`jobs/${part(id)}/events`, { accept: "text/event-stream", signal });

// Models

export const upload = (file) =>
  json(ask("uploads", { method: "POST", body: file, type: "application/octet-stream" }));
export const promote = (model, version) =>
  json(ask(`models/${part(model)}/reload`, { method: "POST", query: { version } }));
export const rollBack = (model) =>
  json(ask(`models/${part(model)}/reload`, { method: "POST", query: { mode: "rollback" } }));
export const makeDefault = (model) =>
  json(ask(`models/${part(model)}/default`, { method: "POST" }));
export const bundle = async (model, version) =>
  (await ask(`models/${part(model)}/versions/${part(version)}/bundle.zip`)).blob();

// Photos that people have labelled on the review page: whether there are any.
export const hasLabelledCaptures = async () =>
  (await json(ask("captures", { query: { labelled: true, count: 1 } }))).captures.length > 0;
