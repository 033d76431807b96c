// Step 3: a map as the sums made it, and the same with everything below 0 cut off.

import { drawTile, el, picture, short } from "./dom.js";
import { NONLINEAR } from "./stages.js";
import { balance0, parse, PRESETS } from "./own.js";

const NAMES = {
  Relu: "It is the simplest one, ReLU: max(0, sum).",
  Clip: "It is ReLU, max(0, sum), with a limit at the top too.",
};

export async function openNonlinearity(body, about) {
  const details = await about.details();
  const sums = sumsOf(details);
  const { maps, index, own } = sums ? await ofNetwork(sums, about) : await ofEdge(details, about);
  const image = await picture(maps.png);
  const before = drawTile(el("canvas", { className: "map", attrs: { role: "img", "aria-label": "The sums: orange above 0, blue below" } }), image, maps.grid, index);
  const after = el("canvas", { width: before.width, height: before.height, className: "map", attrs: { role: "img", "aria-label": "The same with 0 in place of everything below it" } });
  const cut = cutOff(before, after);
  const { min, max } = maps.channels[index];
  body.replaceChildren(
    el("div", { className: "before-after" },
      el("figure", {}, before, el("figcaption", { textContent: `Before: from ${short(min)} (blue) to ${short(max)} (orange)` })),
      curve(),
      el("figure", {}, after, el("figcaption", { textContent: `After: ${Math.round(cut * 100)} % of the places became 0 (grey)` }))),
  );
  return { own };
}

// The layer whose sums go into the first nonlinearity, where the graph keeps them apart.
function sumsOf({ layers }) {
  const index = layers.findIndex((layer, at) => layer.op === "Conv" && NONLINEAR.has(layers[at + 1]?.op) && layer.shape.length === 3);
  return index < 0 ? null : { name: layers[index].name, op: layers[index + 1].op };
}

// The map of the network's own in which most is cut off without emptying it.
async function ofNetwork({ name, op }, about) {
  const maps = await about.maps(name);
  const index = maps.channels.reduce((best, channel, at) => (score(channel) > score(maps.channels[best]) ? at : best), 0);
  return { maps, index, own: `Shown on one map of this network's first layer. ${NAMES[op] ?? `Its nonlinearity is ${op}, a softer form of this.`}` };
}

const score = ({ min, max }) => Math.min(-min, max);

// A filter made by hand, for graphs that do sum and nonlinearity in one go.
async function ofEdge({ precision }, about) {
  const maps = await about.kernel(JSON.stringify(balance0(parse(PRESETS["Upright edge"]))));
  const why = precision === "int8" ? "This model runs in 8-bit numbers and does sum and nonlinearity in one go" : "This model doesn't show its sums by themselves";
  return { maps, index: 0, own: `${why}, so here is the map of a filter made by hand: one that detects upright edges, dark on the left and bright on the right.` };
}

// Draws `before` with grey (0) for what is below 0; returns the share that was. Blue is below 0, orange above.
function cutOff(before, after) {
  const context = before.getContext("2d");
  const image = context.getImageData(0, 0, before.width, before.height);
  let cut = 0;
  for (let at = 0; at < image.data.length; at += 4) {
    if (image.data[at + 2] <= image.data[at]) continue;
    cut += 1;
    image.data.fill(128, at, at + 3);
  }
  after.getContext("2d").putImageData(image, 0, 0);
  return cut / (image.data.length / 4);
}

// The function itself: flat below 0, straight above.
function curve() {
  const svg = (tag, attrs, ...children) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  return el("figure", { className: "curve" },
    svg("svg", { viewBox: "0 0 120 120", role: "img", "aria-label": "The nonlinearity: 0 for sums below 0, the sum itself above" },
      svg("path", { d: "M8 84H112M60 112V8", class: "axis" }),
      svg("path", { d: "M10 84H60L110 24", class: "line" })),
    el("figcaption", { textContent: "max(0, sum)" }));
}
