// One photo large, with all that the model said of it; the arrow keys go on to the next.

import { byId, el, percent } from "../page/dom.js";
import * as service from "./service.js";
import { saidOf } from "./tile.js";

const LARGEST = 480; // of a thumbnail, where the browser can't draw the file itself
const WHY = { unsure: "the model was unsure", unknown: "the model didn't know it", sample: "by chance", feedback: "somebody sent feedback" };

// `go(step)` moves the focus of the grid, `press(event)` handles the keys of labels.
export function closeup(list, { go, press, closed, failed }) {
  const dialog = byId("closeup");
  const image = byId("closeup-image");
  let shown = null; // the id
  let loading = new AbortController();
  let url = "";

  function open(place) {
    if (!dialog.open) dialog.showModal();
    look(place);
    byId("closeup-title").focus();
  }

  function look(place) {
    const id = list.idAt(place);
    if (id !== shown) load(id);
    shown = id;
    byId("closeup-before").disabled = place === 0;
    byId("closeup-after").disabled = place === list.count - 1;
    draw();
  }

  function draw() {
    const capture = list.of(shown);
    if (!dialog.open || !capture) return;
    const said = saidOf(capture);
    byId("closeup-title").textContent = said ?? "No label yet";
    byId("closeup-told").textContent = `Photo ${list.placeOf(shown) + 1} of ${list.count.toLocaleString("en")}. The model ${capture.decision === "accepted" ? "accepted" : capture.decision === "unknown" ? "doesn't know anything like it; nearest is" : "says"} ${capture.predictions[0].label}.`;
    byId("closeup-bars").replaceChildren(...capture.predictions.map(bar));
    byId("closeup-facts").replaceChildren(...facts(capture));
  }

  async function load(id) {
    loading.abort();
    loading = new AbortController();
    const { signal } = loading;
    image.removeAttribute("src");
    image.alt = "";
    try {
      await draws(await service.image(id, null, signal)).catch(async () => draws(await service.image(id, LARGEST, signal)));
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 404) image.alt = "This photo is no longer kept";
      else failed(error);
    }

    async function draws(blob) {
      const next = URL.createObjectURL(blob);
      const probe = new Image();
      probe.src = next;
      try {
        await probe.decode();
      } catch (error) {
        URL.revokeObjectURL(next);
        throw error;
      }
      if (signal.aborted) return URL.revokeObjectURL(next);
      if (url) URL.revokeObjectURL(url);
      url = next;
      image.src = url;
      image.alt = "The photo";
    }
  }

  const step = (by) => look(go(by));

  dialog.addEventListener("keydown", (event) => {
    if (event.target.closest("summary") || event.ctrlKey || event.metaKey || event.altKey) return press(event);
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return press(event);
    event.preventDefault();
    step(by);
  });
  byId("closeup-before").addEventListener("click", () => step(-1));
  byId("closeup-after").addEventListener("click", () => step(1));
  byId("closeup-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    loading.abort();
    shown = null;
    closed();
  });

  return {
    open,
    look,
    draw,
    get isOpen() {
      return dialog.open;
    },
    close: () => dialog.close(),
  };
}

function bar({ label, probability }) {
  const fill = el("span", { className: "fill" });
  fill.style.width = `${100 * probability}%`;
  return el("li", {},
    el("span", { className: "label", textContent: label }),
    el("span", { className: "probability", textContent: percent(probability) }),
    el("span", { className: "track" }, fill));
}

function facts(capture) {
  const rows = [
    ["Kept", `${new Date(capture.captured_at).toLocaleString()}, because ${WHY[capture.reason]}`],
    ["Model", `${capture.model}, version ${capture.version}`],
    ["File", `${capture.format.toUpperCase()}, ${capture.width} × ${capture.height} pixels, ${Math.ceil(capture.bytes / 1024).toLocaleString("en")} KiB`],
    ["Request", `${capture.request_id}, photo ${capture.index + 1}`],
    capture.labelled_at && ["Labelled", `${new Date(capture.labelled_at).toLocaleString()}${capture.labelled_by ? `, with the key ${capture.labelled_by}` : ""}`],
  ];
  return rows.filter(Boolean).flatMap(([name, text]) => [el("dt", { textContent: name }), el("dd", { textContent: text })]);
}
