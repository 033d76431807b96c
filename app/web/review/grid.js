// A grid of thousands of photos, of which only those on the screen, and a few rows around, are in the document.

import { el } from "../page/dom.js";

const NARROW = 480; // from this width on, tiles are as wide as on a desk
const TILE = { phone: 108, desk: 156 };
const GAP = 8;
const CAPTION = 30; // height below a photo
const AROUND = 3; // rows above and below the screen

// `draw(cell, place)` writes a photo into its cell; `rest(first, last)` is told which are on the screen.
export function grid(root, draw, rest) {
  const body = el("div", { className: "rows", attrs: { role: "rowgroup" } });
  root.replaceChildren(body);
  const rows = new Map(); // by number
  let spare = [];
  let count = 0;
  let columns = 1;
  let side = TILE.desk;
  let focused = 0; // the photo that Tab reaches
  let frame = 0;

  const height = () => side + CAPTION + GAP;
  const rowOf = (place) => Math.floor(place / columns);
  const lastRow = () => rowOf(Math.max(0, count - 1));
  const seen = () => [Math.floor(root.scrollTop / height()), Math.floor((root.scrollTop + root.clientHeight - 1) / height())];

  function measure() {
    const style = getComputedStyle(root);
    const width = root.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const least = width < NARROW ? TILE.phone : TILE.desk;
    const now = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
    const wide = Math.floor((width + GAP) / now) - GAP;
    if (now === columns && wide === side) return;
    const at = Math.floor(root.scrollTop / height()) * columns;
    columns = now;
    side = wide;
    root.style.setProperty("--side", `${side}px`);
    clear();
    lay();
    root.scrollTop = rowOf(at) * height();
  }

  function clear() {
    rows.clear();
    spare = [];
    body.replaceChildren();
  }

  function lay() {
    body.style.height = `${(lastRow() + 1) * height()}px`;
    root.setAttribute("aria-rowcount", lastRow() + 1);
    root.setAttribute("aria-colcount", columns);
    render();
  }

  function render() {
    cancelAnimationFrame(frame);
    frame = 0;
    if (!count || root.hidden) return;
    const [first, last] = seen();
    const from = Math.max(0, first - AROUND);
    const to = Math.min(lastRow(), last + AROUND);
    const kept = rowOf(focused); // the focus must stay in the document
    for (const [number, row] of rows)
      if ((number < from || number > to) && number !== kept) {
        rows.delete(number);
        spare.push(row);
      }
    for (let number = from; number <= to; number += 1) if (!rows.has(number)) place(number);
    if (!rows.has(kept)) place(kept);
    for (const row of spare) row.hidden = true;
    const begin = Math.min(count - 1, Math.max(0, first) * columns);
    rest(begin, Math.min(count - 1, (last + 1) * columns - 1));
  }

  function place(number) {
    const row = spare.pop() ?? newRow();
    row.hidden = false;
    row.style.transform = `translateY(${number * height()}px)`;
    row.setAttribute("aria-rowindex", number + 1);
    rows.set(number, row);
    drawRow(number, row);
  }

  function newRow() {
    const cells = Array.from({ length: columns }, (_, column) => newCell(column));
    const row = el("div", { className: "photo-row", attrs: { role: "row" } }, ...cells);
    body.append(row);
    return row;
  }

  const newCell = (column) =>
    el("div", { className: "tile", tabIndex: -1, attrs: { role: "gridcell", "aria-colindex": column + 1 } },
      el("span", { className: "frame" }, el("img", { alt: "", decoding: "async", draggable: false })),
      el("span", { className: "given" }),
      el("span", { className: "guess" }));

  function drawRow(number, row) {
    [...row.children].forEach((cell, column) => {
      const at = number * columns + column;
      cell.hidden = at >= count;
      cell.dataset.place = at;
      if (at >= count) return;
      cell.tabIndex = at === focused ? 0 : -1;
      draw(cell, at);
    });
  }

  const cellAt = (at) => rows.get(rowOf(at))?.children[at % columns];

  function redraw() {
    for (const [number, row] of rows) drawRow(number, row);
  }

  // Brings a photo onto the screen and gives it the focus.
  function focus(at, { move = true } = {}) {
    const before = cellAt(focused);
    if (before) before.tabIndex = -1;
    focused = Math.min(Math.max(0, at), count - 1);
    const top = rowOf(focused) * height();
    if (top < root.scrollTop) root.scrollTop = top;
    else if (top + height() > root.scrollTop + root.clientHeight) root.scrollTop = top + height() - root.clientHeight;
    render();
    const cell = cellAt(focused);
    if (!cell) return;
    cell.tabIndex = 0;
    if (move) cell.focus({ preventScroll: true });
  }

  root.addEventListener("scroll", () => (frame ||= requestAnimationFrame(render)), { passive: true });
  new ResizeObserver(measure).observe(root);

  return {
    redraw,
    focus,
    cellAt,
    get focused() {
      return focused;
    },
    get columns() {
      return columns;
    },
    // Shows so many photos; `keep` stays where it is, else from the first on.
    show(number, keep = false) {
      count = number;
      focused = keep ? Math.min(focused, Math.max(0, count - 1)) : 0;
      if (!keep) root.scrollTop = 0;
      measure();
      for (const [number, row] of rows) if (number > lastRow()) {
        rows.delete(number);
        spare.push(row);
      }
      lay();
      redraw();
    },
    // The photos that are wholly on the screen.
    screen() {
      const first = Math.ceil(root.scrollTop / height());
      const last = Math.floor((root.scrollTop + root.clientHeight) / height()) - 1;
      const from = Math.min(first, lastRow()) * columns;
      return [from, Math.min(count, (Math.max(first, last) + 1) * columns) - 1];
    },
    rowsOnScreen: () => Math.max(1, Math.floor(root.clientHeight / height())),
  };
}
