// What the service says about a set of photos, in the page's words, with the photos that it is about.

import { byId, el } from "../page/dom.js";
import { pictureOf } from "./pictures.js";

const SHOWN = 8; // small pictures of a warning

const number = (photos) => photos.length.toLocaleString("en");

const TEXTS = {
  two_labels: (photos) =>
    photos.length === 1 ? "The same photo is in two classes. Where does it belong?" : `${number(photos)} photos are in two classes each. Where do they belong?`,
};
// What the cards and the Train button say already.
const SAID_ELSEWHERE = new Set(["too_few", "one_label"]);

// `on` has name(), labelsOf(id) and keep(id, label).
export function showWarnings(warnings, on) {
  const shown = warnings.filter(({ code }) => !SAID_ELSEWHERE.has(code));
  byId("warnings").replaceChildren(...shown.map((warning) => {
    const photos = warning.photos ?? [];
    const text = photos.length && TEXTS[warning.code] ? TEXTS[warning.code](photos) : warning.detail;
    return el("li", {},
      el("p", {}, ...(warning.label ? [el("b", { textContent: `${warning.label}: ` })] : []), text),
      ...(warning.code === "two_labels" ? [choices(photos, on)] : []));
  }));
}

// A button for each class that a photo is in.
function choices(photos, on) {
  return el("ul", { className: "belongs" }, ...photos.slice(0, SHOWN).map((id, at) =>
    el("li", {}, picture(id, on), ...on.labelsOf(id).map((label) => {
      const button = el("button", { type: "button", className: "small", textContent: label, attrs: { "aria-label": `Photo ${at + 1} belongs to ${label}` } });
      button.addEventListener("click", () => on.keep(id, label));
      return button;
    }))));
}

function picture(id, on) {
  const image = el("img", { alt: "", width: 44, height: 44 });
  pictureOf(on.name(), id).then((url) => url && (image.src = url), () => {});
  return image;
}
