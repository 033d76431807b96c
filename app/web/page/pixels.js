// Step 1: the array that the service read, as three planes side by side and the numbers under the cursor.

import { el, picture } from "./dom.js";

const SIDE = 480;
const AROUND = 2; // pixels on each side of the one under the cursor
const PLANES = [["Red", [235, 62, 44]], ["Green", [62, 190, 92]], ["Blue", [74, 134, 255]]];

export async function openPixels(body, about) {
  const { input } = await about.details();
  const image = await picture((await about.maps("canvas")).png);
  const data = pixelsOf(image);
  const planes = PLANES.map(([name, tint], channel) => new Plane(name, tint, channel, data));
  const now = el("p", { id: "pixel-now", className: "pixel-now", attrs: { "aria-live": "polite" } });
  const swatch = el("span", { className: "swatch", attrs: { "aria-hidden": "true" } });
  const row = el(
    "div",
    {
      className: "planes",
      tabIndex: 0,
      attrs: { role: "application", "aria-label": "The three planes of 480 × 480 numbers; move with the arrow keys", "aria-describedby": "pixel-now" },
    },
    ...planes.map((plane) => plane.node),
  );
  body.replaceChildren(row, el("div", { className: "pixel-head" }, swatch, now));

  let at = [SIDE / 2, SIDE / 2];
  const move = (x, y) => {
    at = [x, y].map((value) => Math.min(SIDE - 1, Math.max(0, Math.floor(value))));
    const rgb = planes.map((plane) => plane.show(...at));
    swatch.style.backgroundColor = `rgb(${rgb})`;
    now.textContent = `Row ${at[1]}, column ${at[0]}: red ${rgb[0]}, green ${rgb[1]}, blue ${rgb[2]}`;
  };
  row.addEventListener("pointermove", (event) => {
    if (event.target.tagName !== "CANVAS") return;
    const box = event.target.getBoundingClientRect();
    move(((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE);
  });
  row.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 20 : 1;
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    move(at[0] + way[0] * step, at[1] + way[1] * step);
  });
  move(...at);
  return { own: given(input) };
}

function pixelsOf(image) {
  const canvas = el("canvas", { width: SIDE, height: SIDE });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, SIDE, SIDE).data;
}

// What the network is given of the array.
function given({ size, crop, fit = "cover" }) {
  const sides = [size].flat();
  const [height, width] = [sides[0], sides.at(-1)];
  const square = { cover: "the square", stretch: "the whole photo, squashed to a square", contain: "the whole photo, in a square of grey" }[fit];
  const part = crop < 1 ? `the middle ${Math.round(crop * 100)} % of ${square}` : square;
  return `Yours: ${part}, as ${height} × ${width} × 3 = ${(height * width * 3).toLocaleString("en")} numbers.`;
}

// One colour of every pixel: drawn in that colour, and as numbers around one pixel.
class Plane {
  constructor(name, tint, channel, data) {
    this.data = data;
    this.channel = channel;
    this.canvas = el("canvas", { width: SIDE, height: SIDE });
    this.context = this.canvas.getContext("2d");
    this.drawn = this.context.createImageData(SIDE, SIDE);
    for (let at = 0; at < data.length; at += 4) {
      for (let c = 0; c < 3; c++) this.drawn.data[at + c] = (data[at + channel] * tint[c]) / 255;
      this.drawn.data[at + 3] = 255;
    }
    const across = 2 * AROUND + 1;
    const rows = Array.from({ length: across }, () => el("tr", {}, ...Array.from({ length: across }, () => el("td"))));
    rows[AROUND].children[AROUND].className = "centre";
    this.table = el("table", { className: "numbers" }, el("caption", { className: "visually-hidden", textContent: `${name}, around the pixel` }), el("tbody", {}, ...rows));
    this.node = el("figure", { className: `plane ${name.toLowerCase()}` }, el("figcaption", { textContent: name }), this.canvas, this.table);
  }

  // Marks a pixel, shows the numbers around it, and returns its own.
  show(x, y) {
    this.context.putImageData(this.drawn, 0, 0);
    this.context.lineWidth = 3;
    for (const [colour, grow] of [["#000", 14], ["#fff", 11]]) {
      this.context.strokeStyle = colour;
      this.context.strokeRect(x - grow + 0.5, y - grow + 0.5, 2 * grow, 2 * grow);
    }
    [...this.table.tBodies[0].rows].forEach((row, down) => {
      [...row.cells].forEach((cell, right) => {
        const number = this.value(x + right - AROUND, y + down - AROUND);
        cell.textContent = number ?? "";
        cell.style.setProperty("--level", (number ?? 0) / 255);
      });
    });
    return this.value(x, y);
  }

  value(x, y) {
    return x < 0 || y < 0 || x >= SIDE || y >= SIDE ? null : this.data[4 * (y * SIDE + x) + this.channel];
  }
}
