// The labels that can be given: nine of them by the digits, all of them by name.

import { byId, el } from "../page/dom.js";

const DIGITS = 9;
const STORED = "hubel-review-keys";

// sessionStorage may be forbidden; the keys are then those that the page chooses.
function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(STORED)) ?? {};
  } catch {
    return {};
  }
}

function store(model, labels) {
  try {
    sessionStorage.setItem(STORED, JSON.stringify({ ...stored(), [model]: labels }));
  } catch {}
}

// `give(label)` labels the selected photos, `none()` says that no label fits, `more()` asks for another one.
export function palette({ give, none, more }) {
  let model = "";
  let keys = []; // labels by digit, from 1 on
  let known = [];

  // Begins with the model's own labels if the digits have room for all, else with those in use.
  function begin(name, own, used, predicted) {
    model = name;
    known = [...new Set([...used, ...(own ?? []), ...predicted])];
    const few = own && own.length <= DIGITS ? own : [];
    keys = stored()[model] ?? [...new Set([...few, ...used, ...predicted])].slice(0, DIGITS);
    draw();
  }

  // A label that wasn't there gets the next free digit.
  function learn(label) {
    if (!known.includes(label)) known.push(label);
    if (!keys.includes(label)) {
      if (keys.length >= DIGITS) keys.push(label); // beyond the digits: a button without a key
      else keys = [...keys, label];
      store(model, keys);
    }
    draw();
  }

  function set(labels) {
    keys = labels;
    for (const label of labels) if (!known.includes(label)) known.push(label);
    store(model, keys);
    draw();
  }

  function draw() {
    for (const box of [byId("labels"), byId("closeup-labels")])
      box.replaceChildren(
        ...keys.map((label, index) => labelButton(index < DIGITS ? index + 1 : "", label, () => give(label))),
        labelButton(0, "none of these", none, "quiet-label"),
        labelButton("N", "another…", more, "quiet-label"),
      );
    byId("known-labels").replaceChildren(...known.map((value) => el("option", { value })));
  }

  function drawFields() {
    const fields = Array.from({ length: DIGITS }, (_, index) => {
      const input = el("input", { value: keys[index] ?? "", maxLength: 200, autocomplete: "off", attrs: { list: "known-labels", "aria-label": `Label of the key ${index + 1}` } });
      return el("label", {}, el("kbd", { textContent: index + 1 }), input);
    });
    const form = byId("key-labels");
    form.replaceChildren(...fields);
    form.onsubmit = (event) => event.preventDefault();
    form.onchange = () => {
      const named = [...form.querySelectorAll("input")].map((input) => cleaned(input.value)).filter(Boolean);
      set([...new Set([...named, ...keys.slice(DIGITS)])]);
    };
  }

  return { begin, learn, drawFields, labelOf: (digit) => keys[digit - 1] };
}

// A label as the service accepts it, or "" where it can't be one.
export function cleaned(text) {
  const label = text.trim();
  return /^[^\x00-\x1f\x7f;]{1,200}$/.test(label) ? label : "";
}

function labelButton(key, label, press, className = "") {
  const button = el("button", { type: "button", className: `label-key ${className}` },
    key === "" ? null : el("kbd", { textContent: key, attrs: { "aria-hidden": "true" } }),
    el("span", { textContent: label }));
  if (key !== "") button.setAttribute("aria-keyshortcuts", key);
  button.addEventListener("click", press);
  return button;
}
