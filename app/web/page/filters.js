// Step 2: each filter of the first layer beside what it sees in this photo.

import * as api from "./api.js";
import { drawTile, el, picture, roving, short } from "./dom.js";

export async function openFilters(body, about) {
  const details = await about.details();
  if (!details.first_layer) {
    body.replaceChildren(el("p", { textContent: "This model has no convolution whose filters could be shown." }));
    return;
  }
  const [maps, filters] = await Promise.all([
    about.once(`layer ${details.first_layer}`, () =>
      api.activations(about.file, about.which, { layer: details.first_layer }, about.signal),
    ),
    details.filters && about.once("filters", async () => createImageBitmap(await api.filters(about.which))),
  ]);
  const image = await picture(maps.png);
  const pair = (index) => ({
    channel: maps.channels[index],
    map: (canvas) => drawTile(canvas, image, maps.grid, index),
    filter: filters && ((canvas) => drawTile(canvas, filters, details.filters.grid, index)),
  });
  const shown = el("div", { className: "equation" });
  const cards = maps.channels.map((_, index) => card(pair(index), index, () => select(index)));
  const list = el("ul", { className: "cards", attrs: { "aria-label": "Filters of the first layer" } }, ...cards);
  roving(list, "button");

  function select(index) {
    cards.forEach((item, at) => {
      item.firstChild.setAttribute("aria-pressed", String(at === index));
      item.firstChild.tabIndex = at === index ? 0 : -1;
    });
    shown.replaceChildren(...equation(pair(index), index, maps, details));
  }

  body.replaceChildren(el("p", { textContent: intro(maps, details) }), shown, list, el("p", { className: "quiet", textContent: scaleText(maps, details) }));
  const strongest = maps.channels.reduce((best, channel, index) => (spread(channel) > spread(maps.channels[best]) ? index : best), 0);
  select(strongest);
}

// How much a map tells apart: the range of what it found.
const spread = (channel) => channel.max - channel.min;

function card({ map, filter }, index, select) {
  const button = el(
    "button",
    { type: "button", tabIndex: -1, attrs: { "aria-pressed": "false", "aria-label": `Filter ${index} and its map` } },
    filter && filter(el("canvas", { className: "filter" })),
    map(el("canvas", { className: "map" })),
  );
  button.addEventListener("click", select);
  return el("li", {}, button);
}

function equation({ channel, map, filter }, index, maps, details) {
  const parts = [];
  if (filter)
    parts.push(
      el("figure", {}, filter(el("canvas", { className: "filter", attrs: { role: "img", "aria-label": `Filter ${index} in its colours` } })),
        el("figcaption", { textContent: `Filter ${index}: ${details.filters.shape[2]} × ${details.filters.shape[3]} × 3 weights` })),
      el("span", { className: "arrow", attrs: { "aria-hidden": "true" }, textContent: "→" }),
    );
  parts.push(
    el("figure", {}, map(el("canvas", { className: "map", attrs: { role: "img", "aria-label": `What filter ${index} sees in this photo` } })),
      el("figcaption", { textContent: `Its map: ${maps.shape[1]} × ${maps.shape[2]} answers` })),
    el("p", { className: "reading", textContent: reading(channel) }),
  );
  return parts;
}

function reading(channel) {
  if (channel.max <= 0) return `This filter finds nothing in this photo: no answer is above 0${channel.min < 0 ? `, the lowest is ${short(channel.min)}` : ""}.`;
  return `Strongest ${short(channel.max)} at row ${channel.strongest[0]}, column ${channel.strongest[1]}; mean ${short(channel.mean)}. It answers above 0 at ${Math.round(channel.active * 100)} % of the places.`;
}

function intro(maps, details) {
  const count = maps.shape[0];
  const size = details.filters ? `${details.filters.shape[2]} × ${details.filters.shape[3]} pixels` : "a few pixels";
  return `The first layer, ${maps.layer}, holds ${count} filters of ${size}. Each is laid over ${places(maps, details)} of the photo; where the pixels below are like it, the sum of the products is large.`;
}

// Maps with half of the photo's rows come of a filter that steps over every second pixel.
function places(maps, details) {
  const step = Math.round(details.input.size / maps.shape[1]);
  if (step < 2) return "every place";
  return step === 2 ? "every second place, in both directions," : `one place in ${step}, in both directions,`;
}

const scaleText = (maps, details) =>
  (maps.scale.low < 0
    ? `All maps share one scale, from ${short(maps.scale.low)} (blue) over 0 (grey) to ${short(maps.scale.high)} (orange).`
    : `All maps share one scale, from ${short(maps.scale.low)} (dark) to ${short(maps.scale.high)} (bright).`) +
  (details.filters ? ` All filters share one, too: grey is a weight of 0, full colour ${short(details.filters.largest)}, with a cube root between.` : "");
