// All photos that were taken in, side by side, each with its label once that is known.

import { byId, el } from "./dom.js";

export function showStrip(photos, current, look) {
  const strip = byId("strip");
  const labels = [...strip.querySelectorAll("span")].map((label) => label.textContent);
  strip.hidden = photos.length < 2;
  strip.replaceChildren(
    ...photos.map((photo, index) => {
      const button = el(
        "button",
        {
          type: "button",
          title: photo.file.name,
          attrs: { "aria-label": `Photo ${index + 1}: ${photo.file.name}`, "aria-pressed": photo === current },
        },
        el("img", { src: photo.url, alt: "", width: 72, height: 56 }),
        el("span", { textContent: labels[index] || "…", attrs: { "aria-hidden": "true" } }),
      );
      button.addEventListener("click", () => {
        look(photo);
        strip.children[index].firstChild.focus(); // the strip was drawn anew
      });
      return el("li", {}, button);
    }),
  );
}

export function labelInStrip(index, label) {
  const button = byId("strip").children[index]?.firstChild;
  if (!button) return;
  button.lastChild.textContent = label;
  button.setAttribute("aria-label", `Photo ${index + 1}: ${button.title}: ${label}`);
}
