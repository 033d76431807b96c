// The card of one class: its name, its photos, and the ways in which photos come.

import { el } from "../page/dom.js";
import { photosIn } from "./intake.js";
import { pictureOf } from "./pictures.js";
import { closeWebcam, openWebcam, shoot, shows, whileHeld } from "./webcam.js";

const FRAME_MS = 200; // between two photos while the button is held
const FEW = 40; // small pictures that are shown at first
const PAGE = 200;
const MAX_LABEL = 200;

const photosText = (count) => !count ? "No photos yet" : `${count.toLocaleString("en")} ${count === 1 ? "photo" : "photos"}`;

// `on` has what a card can't do by itself: name(), photos(label, page), add, rename, remove, deletePhotos, fail.
export function classCard(label, index, on) {
  let name = label; // the label, as the service knows it once there are photos
  let total = 0; // photos on the service
  let coming = 0; // photos that aren't counted there yet
  let listed = []; // ids that are shown
  let listedOf = null; // how many there were when they were listed
  let next = null;
  const selected = new Set();

  const field = el("input", { className: "class-name", value: label, maxLength: MAX_LABEL, autocomplete: "off", spellcheck: false, attrs: { "aria-label": `Name of class ${index}` } });
  const count = el("span", { className: "count", attrs: { role: "status" } });
  const remove = el("button", { type: "button", className: "icon", textContent: "×" });
  const told = el("p", { className: "card-told", attrs: { role: "status" } });
  const thumbs = el("ul", { className: "thumbs" });
  const more = el("button", { type: "button", className: "small", hidden: true });
  const chosen = el("div", { className: "chosen", hidden: true });
  const question = el("div", { className: "chosen", hidden: true });
  const video = el("video", { muted: true, playsInline: true });
  const hold = el("button", { type: "button", className: "primary hold", textContent: "Hold to take photos", disabled: true });
  const close = el("button", { type: "button", textContent: "Close the webcam" });
  const camera = el("div", { className: "webcam", hidden: true }, video, el("div", { className: "buttons" }, hold, close));
  const webcam = el("button", { type: "button", textContent: "Webcam" });
  const choose = el("button", { type: "button", textContent: "Choose photos" });
  const files = el("input", { type: "file", accept: "image/*,.avif,.tif,.tiff,.heic", multiple: true, hidden: true, tabIndex: -1 });
  const node = el("li", { className: "class-card", dataset: { drop: "class" } },
    el("div", { className: "class-head" }, field, remove, count), question, told, thumbs, more, chosen, camera,
    el("div", { className: "buttons" }, webcam, choose, files, el("span", { className: "quiet drop-hint", textContent: "or drop them here" })));

  const card = {
    node,
    label: () => name,
    total: () => total,
    listed: () => listed,
    add: (photos) => photos.length && on.add(card, photos),
    take: async (found) => card.add(photosIn(await found)),
    say: (text, isBad = false) => {
      told.textContent = text;
      told.classList.toggle("bad", isBad);
    },
    // The service spells a label as it came first.
    spell: (label) => label !== name && (field.value = name = label),
    show, refresh, focusName: () => field.select(),
  };

  function show(photos, pending) {
    total = photos;
    coming = pending;
    count.textContent = pending ? `${photosText(total)} · adding ${pending.toLocaleString("en")}` : photosText(total);
    node.classList.toggle("busy", pending > 0);
    node.classList.toggle("empty", total + pending === 0);
    remove.setAttribute("aria-label", `Remove ${name}`);
    webcam.setAttribute("aria-label", `Webcam for ${name}`);
    choose.setAttribute("aria-label", `Choose photos of ${name}`);
    thumbs.setAttribute("aria-label", `Photos of ${name}`);
  }

  // Asks for the newest photos again, as many as are shown, if there are more or fewer than before.
  async function refresh() {
    const wanted = total;
    if (wanted === listedOf) return;
    const page = wanted ? await on.photos(name, { count: Math.max(FEW, Math.min(PAGE, listed.length)) }) : { photos: [], next: null };
    listedOf = wanted;
    draw(page.photos.map((photo) => photo.id), page.next);
  }

  function draw(ids, after) {
    listed = ids;
    next = after;
    for (const id of [...selected]) if (!ids.includes(id)) selected.delete(id);
    const old = new Map([...thumbs.children].map((item) => [item.dataset.id, item]));
    thumbs.replaceChildren(...ids.map((id, at) => old.get(id) ?? thumb(id, at)));
    [...thumbs.children].forEach((item, at) => item.firstChild.setAttribute("aria-label", `Photo ${at + 1} of ${name}`));
    more.hidden = !next;
    more.textContent = `Show more of ${photosText(total)}`;
    showChosen();
  }

  function thumb(id, at) {
    const button = el("button", { type: "button", className: "thumb", attrs: { "aria-pressed": "false" } });
    button.addEventListener("click", () => toggle(id, !selected.has(id)));
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Delete" && event.key !== "Backspace") return;
      event.preventDefault();
      selected.add(id);
      deleteSelected(at);
    });
    pictureOf(on.name(), id).then(
      (url) => (url ? button.append(el("img", { src: url, alt: "" })) : button.classList.add("undrawn")),
      () => button.classList.add("undrawn"),
    );
    return el("li", { dataset: { id } }, button);
  }

  function toggle(id, isOn) {
    selected[isOn ? "add" : "delete"](id);
    showChosen();
  }

  function showChosen() {
    for (const item of thumbs.children) item.firstChild.setAttribute("aria-pressed", String(selected.has(item.dataset.id)));
    chosen.hidden = !selected.size;
    if (chosen.hidden) return chosen.replaceChildren();
    const go = el("button", { type: "button", className: "danger small", textContent: `Delete ${photosText(selected.size)}` });
    const keep = el("button", { type: "button", className: "small", textContent: "Keep" });
    go.addEventListener("click", () => {
      go.disabled = true;
      deleteSelected(0);
    });
    keep.addEventListener("click", () => {
      selected.clear();
      showChosen();
    });
    return chosen.replaceChildren(go, keep);
  }

  async function deleteSelected(at) {
    const gone = [...selected];
    const isDone = await on.deletePhotos(card, gone);
    if (isDone) selected.clear();
    showChosen();
    if (!isDone) return;
    (thumbs.children[Math.min(at, thumbs.children.length - 1)]?.firstChild ?? choose).focus();
  }

  field.addEventListener("change", async () => {
    const wanted = field.value.trim();
    if (!wanted || wanted === name) field.value = name;
    else if (wanted.includes(";")) {
      card.say("A name may not contain a semicolon.", true);
      field.value = name;
    } else if (await on.rename(card, wanted)) field.value = name = wanted;
    else field.value = name;
    show(total, coming);
  });
  field.addEventListener("keydown", (event) => event.key === "Enter" && field.blur());

  remove.addEventListener("click", () => {
    if (!total && !coming) return on.remove(card);
    const yes = el("button", { type: "button", className: "danger small", textContent: `Remove ${photosText(total + coming)}` });
    const no = el("button", { type: "button", className: "small", textContent: "Keep" });
    yes.addEventListener("click", () => on.remove(card));
    no.addEventListener("click", () => {
      question.hidden = true;
      remove.focus();
    });
    question.replaceChildren(el("span", { textContent: "Remove this class?" }), yes, no);
    question.hidden = false;
    return yes.focus();
  });
  more.addEventListener("click", async () => {
    try {
      const page = await on.photos(name, { count: PAGE, after: next });
      draw([...listed, ...page.photos.map((photo) => photo.id)], page.next);
    } catch (error) {
      on.fail(error, () => more.click());
    }
  });
  choose.addEventListener("click", () => files.click());
  files.addEventListener("change", () => {
    card.add([...files.files]);
    files.value = ""; // the same photos can be chosen again
  });

  const stop = whileHeld(hold, async () => {
    if (!shows(video)) return;
    const photo = await shoot(video);
    if (photo) card.add([photo]);
  }, FRAME_MS);
  async function open() {
    camera.hidden = false;
    webcam.hidden = true;
    card.say("");
    hold.disabled = !(await openWebcam(video, (text) => {
      stop();
      hold.disabled = camera.hidden = true;
      webcam.hidden = false;
      card.say(text, true);
    }));
    if (!hold.disabled) hold.focus();
  }
  webcam.addEventListener("click", open);
  close.addEventListener("click", () => (closeWebcam(), webcam.focus()));
  hold.setAttribute("aria-label", "Hold to take photos; by pointer, space bar or Enter");

  show(0, 0);
  return card;
}
