// Step 1: the canvas that the service read, as the numbers under the cursor.

import * as api from "./api.js";
import { byId, el, picture } from "./dom.js";

const SIDE = 480;
const AROUND = 2; // pixels on each side of the one under the cursor
const CHANNELS = [["Red", "red"], ["Green", "green"], ["Blue", "blue"]];

export async function openPixels(body, about) {
  const { input } = await about.details();
  const found = await about.once("canvas", () =>
    api.activations(about.file, about.which, { layer: "canvas" }, about.signal),
  );
  const image = await picture(found.png);
  const canvas = el("canvas", {
    width: SIDE,
    height: SIDE,
    tabIndex: 0,
    className: "pixels",
    attrs: { role: "application", "aria-label": "The 480 × 480 pixels; move with the arrow keys", "aria-describedby": "pixel-now" },
  });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, SIDE, SIDE).data;
  const loupe = new Loupe();
  body.replaceChildren(
    el("p", { textContent: `A photo is an array of numbers: this one has 480 rows of 480 pixels, each three numbers from 0 to 255. ${given(input)} Point at the photo, or use the arrow keys.` }),
    el("div", { className: "pixel-view" }, canvas, loupe.node),
  );

  let at = [SIDE / 2, SIDE / 2];
  const move = (x, y) => {
    at = [x, y].map((value) => Math.min(SIDE - 1, Math.max(0, Math.floor(value))));
    context.drawImage(image, 0, 0);
    context.lineWidth = 2;
    for (const [colour, grow] of [["#000", 9], ["#fff", 7]]) {
      context.strokeStyle = colour;
      context.strokeRect(at[0] - grow + 0.5, at[1] - grow + 0.5, 2 * grow, 2 * grow);
    }
    loupe.show(data, ...at);
  };
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    move(((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 20 : 1;
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    move(at[0] + way[0] * step, at[1] + way[1] * step);
  });
  move(...at);
}

// What the network is given of the array.
function given({ size, crop }) {
  const part = crop < 1 ? `the middle ${Math.round(crop * 100)} % of it` : "it";
  return crop === 1 && size === SIDE
    ? "The network reads it as it is."
    : `The network reads ${part} brought to ${size} × ${size} × 3.`;
}

// The neighbourhood of one pixel, once for each channel.
class Loupe {
  constructor() {
    this.now = el("p", { id: "pixel-now", className: "pixel-now", attrs: { "aria-live": "polite" } });
    this.tables = CHANNELS.map(([name, kind]) => {
      const rows = Array.from({ length: 2 * AROUND + 1 }, () =>
        el("tr", {}, ...Array.from({ length: 2 * AROUND + 1 }, () => el("td"))),
      );
      rows[AROUND].children[AROUND].className = "centre";
      return el("table", { className: `loupe ${kind}` }, el("caption", { textContent: name }), el("tbody", {}, ...rows));
    });
    this.swatch = el("span", { className: "swatch", attrs: { "aria-hidden": "true" } });
    this.node = el(
      "div",
      { className: "loupes" },
      el("div", { className: "pixel-head" }, this.swatch, this.now),
      el("div", { className: "loupe-tables", tabIndex: 0, attrs: { role: "group", "aria-label": "Numbers around the pixel" } }, ...this.tables),
    );
  }

  show(data, x, y) {
    const value = (column, row, channel) =>
      column < 0 || row < 0 || column >= SIDE || row >= SIDE ? null : data[4 * (row * SIDE + column) + channel];
    this.tables.forEach((table, channel) => {
      [...table.tBodies[0].rows].forEach((row, down) => {
        [...row.cells].forEach((cell, right) => {
          const number = value(x + right - AROUND, y + down - AROUND, channel);
          cell.textContent = number ?? "";
          cell.style.setProperty("--level", (number ?? 0) / 255);
        });
      });
    });
    const rgb = [0, 1, 2].map((channel) => value(x, y, channel));
    this.swatch.style.backgroundColor = `rgb(${rgb})`;
    this.now.textContent = `Row ${y}, column ${x}: red ${rgb[0]}, green ${rgb[1]}, blue ${rgb[2]}`;
  }
}
