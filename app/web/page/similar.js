// The photos of a collection that look most like the photo, where the service has an index of one.

import * as api from "./api.js";
import { byId, el } from "./dom.js";

const COUNT = 12;
let known = null; // the indexes of the service, asked for once

export const hideSimilar = () => (byId("similar").hidden = true);

// Shows the similar photos of the chosen model's index; without one the section stays hidden.
export async function showSimilar(about) {
  known ??= api.indexes();
  const index = await known.then(
    ({ indexes }) => indexes.find((each) => each.ready && isOf(each, about.which)),
    () => (known = null), // it is an aside: without it the page is complete
  );
  if (about.signal.aborted) return;
  if (!index) return hideSimilar();
  const query = { index: index.name, count: COUNT, thumbnails: index.thumbnails };
  const found = await about
    .once("similar", () => api.similar(about.file, { ...about.which, ...query }, about.signal))
    .catch(() => null);
  if (about.signal.aborted) return;
  byId("similar").hidden = !found;
  if (found) fill(index, found.results);
}

const isOf = (index, { model, version }) =>
  index.model === model && (!version || index.version === Number(version));

function fill(index, results) {
  byId("similar-from").textContent =
    `Of ${index.photos.toLocaleString("en")} photos in “${index.name}”. The number is the similarity: 1 means the same picture.`;
  byId("similar-photos").classList.toggle("plain", !index.thumbnails);
  byId("similar-photos").replaceChildren(...results.map(item));
}

function item({ path, similarity, thumbnail }) {
  const name = path.split("/").at(-1);
  const image = thumbnail && el("img", { src: thumbnail, alt: "", loading: "lazy" });
  return el("li", {}, image, el("span", { title: path, textContent: name }), el("b", { textContent: similarity.toFixed(2) }));
}
