// A filter painted by hand, run over the photo by the service.

import { el, picture, roving, short } from "./dom.js";

const N = 7;
// "#" is 1, "-" is -1, "." is 0.
export const PRESETS = {
  Curve: "......# .....## ....##. ...##.. ..##... ..##... ..##...",
  "Upright edge": "---.### ---.### ---.### ---.### ---.### ---.### ---.###",
  "Level edge": "------- ------- ------- ....... ####### ####### #######",
  Line: "......# .....#. ....#.. ...#... ..#.... .#..... #......",
  Spot: "....... ..----. .-####- .-####- .-####- ..----. .......",
  Blur: "####### ####### ####### ####### ####### ####### #######",
  Empty: "....... ....... ....... ....... ....... ....... .......",
};
const VALUES = { "#": 1, "-": -1, ".": 0 };
const NEXT = { "0": 1, "1": -1, "-1": 0 };
const SIGNS = { "1": "+1", "-1": "−1", "0": "0" };

// Kept while the page is open, whatever the photo.
let weights = parse(PRESETS.Curve);
let balanced = true;

export function parse(text) {
  return text.split(" ").map((row) => [...row].map((sign) => VALUES[sign]));
}

export async function openOwn(body, about) {
  const result = el("figure", { className: "own-map", attrs: { "aria-live": "polite" } });
  const cells = weights.map((row, y) => row.map((_, x) => cell(y, x)));
  const grid = el("div", { className: "kernel", attrs: { role: "group", "aria-label": "Your filter, 7 × 7; press a cell to change it, arrow keys to move" } }, ...cells.flat());
  roving(grid, "button", () => N);
  const balance = el("input", { type: "checkbox", id: "balance", checked: balanced });
  balance.addEventListener("change", () => (balanced = balance.checked));
  const run = el("button", { type: "button", className: "primary", textContent: "Run it over the photo" });
  run.addEventListener("click", () => show().catch(about.fail));

  function cell(y, x) {
    const button = el("button", { type: "button", tabIndex: x + y ? -1 : 0 });
    button.addEventListener("click", () => {
      weights[y][x] = NEXT[weights[y][x]];
      label(button, y, x);
    });
    label(button, y, x);
    return button;
  }

  const presets = Object.entries(PRESETS).map(([name, text]) => {
    const button = el("button", { type: "button", textContent: name });
    button.addEventListener("click", () => {
      weights = parse(text);
      cells.forEach((row, y) => row.forEach((item, x) => label(item, y, x)));
    });
    return button;
  });

  async function show() {
    run.disabled = true;
    try {
      const found = await about.kernel(JSON.stringify(balanced ? balance0(weights) : weights));
      const image = await picture(found.png);
      image.alt = "Your filter's map: orange where the photo is like the filter, blue where it is the opposite";
      const { max, strongest } = found.channels[0];
      result.replaceChildren(image, el("figcaption", {
        textContent: `${found.shape[1]} × ${found.shape[2]} sums. Largest ${short(max)} at row ${strongest[0]}, column ${strongest[1]}. ` +
          (found.scale.low < 0 ? "Orange: like your filter; blue: its opposite; grey: neither." : "Bright: like your filter."),
      }));
    } finally {
      run.disabled = false;
    }
  }

  body.replaceChildren(
    el("p", { textContent: "This one detects a curve: its orange weights are +1, the blue ones −1, the others 0. Press a cell to change its weight. The map is bright where bright pixels lie under the orange weights and dark ones under the blue." }),
    el("div", { className: "own" },
      el("div", { className: "own-edit" },
        el("div", { className: "presets", attrs: { role: "group", "aria-label": "Begin with" } }, ...presets),
        grid,
        el("label", { className: "check" }, balance, " Give 0 where the photo is plain"),
        run),
      result),
  );
  await show();
}

function label(button, y, x) {
  const value = weights[y][x];
  button.dataset.value = value;
  button.textContent = value ? SIGNS[value] : "";
  button.setAttribute("aria-label", `Row ${y + 1}, column ${x + 1}: ${SIGNS[value]}`);
}

// Less its mean, so that plain areas cancel out; divided, so that the answers stay small.
export function balance0(rows) {
  const all = rows.flat();
  const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
  if (all.every((value) => value === all[0])) return rows; // a blur has nothing else to say
  return rows.map((row) => row.map((value) => value - mean));
}
