// Step 2: each filter of the first layer, and where it finds its feature in this photo.

import * as api from "./api.js";
import { drawTile, el, picture, roving, short } from "./dom.js";
import { openOwn } from "./own.js";

const SIDE = 480;
const MARK = 22; // pixels of half the smallest mark that can be seen

export async function openConvolution(body, about) {
  const details = await about.details();
  const own = el("details", { className: "own-filter" }, el("summary", { textContent: "Paint a filter of your own" }), el("div", { className: "own-body" }));
  own.addEventListener("toggle", () => {
    if (own.open && !own.lastChild.firstChild) openOwn(own.lastChild, about).catch(about.fail);
  });
  if (!details.first_layer) {
    body.replaceChildren(el("p", { textContent: "This model has no convolution whose filters could be shown. Paint one of your own instead." }), own);
    return { own: "" };
  }
  const [maps, canvas, filters] = await Promise.all([
    about.maps(details.first_layer),
    about.maps("canvas"),
    details.filters && about.once("filters", async () => createImageBitmap(await api.filters(about.which))),
  ]);
  const [image, photo] = await Promise.all([picture(maps.png), picture(canvas.png)]);
  const pair = (index) => ({
    channel: maps.channels[index],
    map: (node) => drawTile(node, image, maps.grid, index),
    filter: filters && ((node) => drawTile(node, filters, details.filters.grid, index)),
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
    shown.replaceChildren(...equation(pair(index), index, maps, details, photo));
  }

  body.replaceChildren(shown, list, el("p", { className: "quiet", textContent: scaleText(maps, details) }), own);
  select(maps.channels.reduce((best, channel, index) => (telling(channel) > telling(maps.channels[best]) ? index : best), 0));
  return { own: intro(maps, details) };
}

// How much a map tells apart: a feature that is found strongly, and in a part of the photo.
const telling = ({ max, min, mean, active }) => (max - mean) * Math.min(active, 1 - active, 0.3) + 1e-6 * (max - min);

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

// Photo * filter = map, with the place where the filter fits best marked on both sides.
function equation({ channel, map, filter }, index, maps, details, photo) {
  const sign = (text) => el("span", { className: "sign", attrs: { "aria-hidden": "true" }, textContent: text });
  const [row, column] = channel.strongest;
  const found = channel.max > 0;
  const weights = details.filters?.shape;
  return [
    el("figure", { className: "of-photo" },
      marked(photo, found && onPhoto(row, column, maps, details), weights, details),
      el("figcaption", { textContent: "Your photo" })),
    ...(filter
      ? [sign("∗"), el("figure", { className: "of-filter" },
          filter(el("canvas", { className: "filter", attrs: { role: "img", "aria-label": `Filter ${index} in its colours` } })),
          el("figcaption", { textContent: `Filter ${index}: ${weights[2]} × ${weights[3]} × 3 weights` }))]
      : []),
    sign("="),
    el("figure", { className: "of-map" },
      map(el("canvas", { className: "map", attrs: { role: "img", "aria-label": `Where filter ${index} finds its feature in this photo` } })),
      el("figcaption", { textContent: `Its map: ${maps.shape[1]} × ${maps.shape[2]} sums` })),
    el("p", { className: "reading", textContent: reading(channel) }),
  ];
}

// A place of the map, in pixels of the 480 × 480 canvas.
function onPhoto(row, column, maps, { input }) {
  const crop = input.crop ?? 1;
  const at = (place, count) => SIDE * ((1 - crop) / 2 + (crop * (place + 0.5)) / count);
  return [at(column, maps.shape[2]), at(row, maps.shape[1])];
}

function marked(photo, place, weights, { input }) {
  const canvas = el("canvas", { width: SIDE, height: SIDE, className: "map", attrs: { role: "img", "aria-label": place ? "Your photo, with the place where the filter fits best" : "Your photo" } });
  const context = canvas.getContext("2d");
  context.drawImage(photo, 0, 0);
  if (!place) return canvas;
  const size = [input.size].flat()[0];
  const half = Math.max(MARK, (weights ? weights[3] : 3) * (SIDE / size) * 0.5);
  context.lineWidth = 6;
  for (const [colour, grow] of [["#000", 3], ["#fff", 0]]) {
    context.strokeStyle = colour;
    context.strokeRect(place[0] - half - grow, place[1] - half - grow, 2 * (half + grow), 2 * (half + grow));
    context.lineWidth = 4;
  }
  return canvas;
}

function reading(channel) {
  if (channel.max <= 0) return `This filter finds nothing in this photo: no sum is above 0${channel.min < 0 ? `, the lowest is ${short(channel.min)}` : ""}.`;
  return `It fits best at the marked place: ${short(channel.max)}. At ${Math.round(channel.active * 100)} % of the places the sum is above 0.`;
}

function intro(maps, details) {
  const [count, height, width] = maps.shape;
  const of = details.filters ? ` of ${details.filters.shape[2]} × ${details.filters.shape[3]} × 3` : "";
  return `The first layer here has ${count} filters${of}. Nobody drew them: training found them. Each looks at ${places(height, details)}, so there are ${count} maps of ${height} × ${width}.`;
}

// Maps with half of the photo's rows come of a filter that steps over every second pixel.
function places(rows, details) {
  const step = Math.round([details.input.size].flat()[0] / rows);
  if (step < 2) return "every place";
  return step === 2 ? "every second place, across and down" : `one place in ${step}, across and down`;
}

const scaleText = (maps, details) =>
  (maps.scale.low < 0
    ? `All maps share one scale, from ${short(maps.scale.low)} (blue) over 0 (grey) to ${short(maps.scale.high)} (orange).`
    : `All maps share one scale, from ${short(maps.scale.low)} (dark) to ${short(maps.scale.high)} (bright).`) +
  (details.filters ? ` So do the filters: grey is a weight of 0, full colour ${short(details.filters.largest)}, with a cube root between.` : "");
