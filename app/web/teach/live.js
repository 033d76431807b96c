// Try it: what a version says about what the webcam sees, again and again, or about a photo.

import * as api from "../page/api.js";
import { byId, el, percent, say } from "../page/dom.js";
import { inShort, isUnknown, verdictOf } from "../page/verdict.js";
import { closeWebcam, openWebcam, shoot, shows } from "./webcam.js";

const SHORTER = 480; // pixels of a frame: no network here reads more
const PAUSE_MS = 120; // between an answer and the next frame
const BUSY_MS = 1000;
const BARS = 5;

// `about` has labels(), teach(label, file) and fail(error, again).
export function live(about) {
  let model = null;
  let photo = null; // the file that the answer is about
  let url = null;
  let turn = 0; // of the newest question: earlier answers are dropped
  let spoken = ""; // what a screen reader was told last: not every frame's probabilities
  const labelsOf = new Map(); // the number of labels by version

  byId("try-version").addEventListener("change", () => photo && byId("try-video").hidden && look(photo));
  byId("try-choose").addEventListener("click", () => byId("try-file").click());
  byId("try-file").addEventListener("change", (event) => {
    if (event.target.files.length) look(event.target.files[0]);
    event.target.value = "";
  });
  byId("try-camera").addEventListener("click", () => {
    if (byId("try-video").hidden) watch();
    else closeWebcam();
  });

  // Offers the versions of a model that are ready; `version` is chosen.
  function offer(name, versions, version) {
    const before = model;
    model = name;
    byId("try").hidden = !versions.length;
    for (const each of versions) labelsOf.set(String(each.version), each.labels);
    byId("try-version").replaceChildren(...versions.map((each) =>
      el("option", { value: each.version, textContent: each.serving ? `${each.version} (serves)` : String(each.version) })));
    if (versions.some((each) => each.version === version)) byId("try-version").value = version;
    byId("try-version-label").hidden = versions.length < 2;
    if (before !== name) clear();
  }

  const which = () => ({ model, version: byId("try-version").value });

  async function watch() {
    const video = byId("try-video");
    turn += 1;
    byId("try-stage").hidden = video.hidden = false;
    byId("try-photo").hidden = true;
    byId("try-camera").textContent = "Stop";
    const isOpen = await openWebcam(video, (text) => {
      turn += 1;
      byId("try-camera").textContent = "Webcam";
      video.hidden = true;
      if (photo) showPhoto(photo);
      else byId("try-stage").hidden = true;
      if (text) showText(text);
    });
    if (isOpen) classifyFrames(video, (turn += 1));
  }

  async function classifyFrames(video, mine) {
    while (mine === turn) {
      let wait = PAUSE_MS;
      try {
        if (!document.hidden && shows(video)) {
          const frame = await shoot(video, SHORTER);
          const answer = await api.classify(frame, which(), BARS);
          if (mine !== turn) return;
          photo = frame;
          showAnswer(answer);
        }
      } catch (error) {
        if (mine !== turn) return;
        if (error.status !== 429 && error.status !== 503) {
          closeWebcam();
          about.fail(error, watch);
          return;
        }
        wait = error.retryAfter ? 1000 * error.retryAfter : BUSY_MS;
      }
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  async function look(file) {
    closeWebcam();
    const mine = (turn += 1);
    photo = file;
    showPhoto(file);
    showText("…");
    try {
      const answer = await api.classify(file, which(), BARS);
      if (mine === turn) showAnswer(answer);
    } catch (error) {
      if (mine !== turn) return;
      showText("");
      about.fail(error, () => look(file));
    }
  }

  function showPhoto(file) {
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(file);
    byId("try-stage").hidden = byId("try-photo").hidden = false;
    byId("try-photo").src = url;
  }

  function showText(text) {
    byId("try-verdict").textContent = text;
    byId("try-verdict").dataset.decision = spoken = "";
    byId("try-because").textContent = "";
    byId("try-bars").replaceChildren();
    byId("try-wrong").hidden = true;
  }

  function showAnswer(answer) {
    const [sentence, why] = verdictOf(answer);
    if (byId("try-verdict").textContent !== sentence) byId("try-verdict").textContent = sentence;
    byId("try-verdict").dataset.decision = answer.decision ?? "";
    byId("try-because").textContent = why;
    byId("try-bars").classList.toggle("grey", isUnknown(answer));
    const old = new Map([...byId("try-bars").children].map((item) => [item.dataset.label, item]));
    const isShort = labelsOf.get(String(answer.version)) <= BARS; // few labels keep their places
    const shown = isShort ? answer.predictions.toSorted((one, other) => one.index - other.index) : answer.predictions;
    byId("try-bars").replaceChildren(...shown.map((each) => bar(each, old.get(each.label))));
    if (inShort(answer) !== spoken) say((spoken = inShort(answer)));
    byId("try-wrong").hidden = !about.labels().length;
    const names = about.labels().join("\n");
    if (byId("try-classes").dataset.names !== names) {
      byId("try-classes").dataset.names = names;
      byId("try-classes").replaceChildren(...about.labels().map(teachButton));
    }
  }

  function bar({ label, probability }, old) {
    const item = old ?? el("li", { dataset: { label } },
      el("span", { className: "label", textContent: label }), el("span", { className: "probability" }),
      el("span", { className: "track" }, el("span", { className: "fill" })));
    item.querySelector(".probability").textContent = percent(probability);
    item.querySelector(".fill").style.width = `${Math.max(0.4, probability * 100)}%`;
    return item;
  }

  function teachButton(label) {
    const button = el("button", { type: "button", className: "small", textContent: label });
    button.addEventListener("click", () => photo && about.teach(label, photo));
    return button;
  }

  function clear() {
    closeWebcam();
    photo = null;
    byId("try-stage").hidden = true;
    showText("");
  }

  return { offer, look, which };
}
