// All photos that were taken in, side by side, each with its label once that is known.

import { byId, el } from "./dom.js";

// `labelOf` gives a photo's label by the chosen model, where it is known.
export function showStrip(photos, current, look, labelOf) {
  const strip = byId("strip");
  strip.hidden = photos.length < 2;
  strip.replaceChildren(
    ...photos.map((photo, index) => {
      const button = el(
        "button",
        {
          type: "button",
          title: photo.file.name,
          attrs: { "aria-label": spoken(index, photo.file.name, labelOf(photo)), "aria-pressed": photo === current },
        },
        el("img", { src: photo.url, alt: "", width: 72, height: 56 }),
        el("span", { attrs: { "aria-hidden": "true" } }),
      );
      const image = button.firstChild; // a file that is no photo has no picture
      image.addEventListener("error", () => image.classList.add("broken"));
      write(button, labelOf(photo));
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
  write(button, label);
  button.setAttribute("aria-label", spoken(index, button.title, label));
}

export function pictureInStrip(index, url) {
  const image = byId("strip").children[index]?.firstChild.firstChild;
  if (!image) return;
  image.classList.remove("broken");
  image.src = url;
}

// Only a label is set as one: what is unknown, unreadable or not yet known stands in grey.
function write(button, label) {
  button.lastChild.textContent = label ? label.text : "…";
  button.lastChild.className = label?.isLabel ? "" : "none";
}

const spoken = (index, name, label) => `Photo ${index + 1}: ${name}${label ? `: ${label.text}` : ""}`;
