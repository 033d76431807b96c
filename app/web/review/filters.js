// Which photos are shown, and in which order: chosen on the page, and kept in its address.

import { byId, el } from "../page/dom.js";

const DEFAULTS = { labelled: "false", model: "", decision: "", predicted: "", label: "", since: "", until: "", order: "varied" };
const MANY = 1000; // options of a list
const WORDS = { false: "To be labelled", true: "Labelled", any: "All photos" };

export function filters(changed) {
  const form = byId("filters");
  const field = (name) => form.elements.namedItem(name);
  const narrow = byId("narrow");

  function read() {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(DEFAULTS)) put(name, query.get(name) ?? value);
    if (query.has("label") && !query.has("labelled")) put("labelled", "any");
  }

  // An option that the list lacks, such as a label that no photo has now, is added.
  function put(name, value) {
    const input = field(name);
    if (input.tagName === "SELECT" && ![...input.options].some((option) => option.value === value)) {
      if (!["model", "predicted", "label"].includes(name)) return;
      input.append(el("option", { value, textContent: value || "any" }));
    }
    input.value = value;
  }

  const values = () => Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, field(name).value]));

  function write() {
    const url = new URL(location.href);
    url.search = "";
    for (const [name, value] of Object.entries(values())) if (value !== DEFAULTS[name]) url.searchParams.set(name, value);
    history.replaceState(null, "", url);
    summarise();
  }

  function summarise() {
    const { labelled, model, decision, predicted, label, since, until, order } = values();
    const parts = [WORDS[labelled], model, decision, predicted && `predicted ${predicted}`, label && `label ${label}`, since && `from ${since}`, until && `until ${until}`];
    const how = field("order").selectedOptions[0].textContent;
    byId("narrowed").textContent = `${parts.filter(Boolean).join(" · ")}, ${order === "varied" ? "what teaches most first" : `${how} first`}`;
  }

  // What the service is asked for: days are those of this browser's time zone.
  function query() {
    const { labelled, since, until, ...rest } = values();
    const day = (text, plus) => {
      const [year, month, date] = text.split("-").map(Number);
      return new Date(year, month - 1, date + plus).toISOString();
    };
    return {
      ...rest,
      labelled: labelled === "any" ? "" : labelled,
      since: since && day(since, 0),
      until: until && day(until, 1),
    };
  }

  function offer(counts) {
    for (const name of ["model", "predicted", "label"]) {
      const input = field(name);
      const value = input.value;
      const listed = (name === "model" ? counts.models : name === "label" ? counts.labels : counts.predicted).slice(0, MANY);
      input.replaceChildren(
        el("option", { value: "", textContent: "any" }),
        ...listed.map(({ name: text, captures }) => el("option", { value: text, textContent: `${text} (${captures.toLocaleString("en")})` })),
      );
      put(name, value);
    }
    summarise();
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    if (event.target.name === "label" && event.target.value && field("labelled").value === "false") put("labelled", "any");
    write();
    changed(event.target.name);
  });
  byId("clear-filters").addEventListener("click", () => {
    for (const [name, value] of Object.entries(DEFAULTS)) put(name, value);
    write();
    changed("model");
  });

  read();
  summarise();
  narrow.open = matchMedia("(min-width: 761px)").matches;
  return { query, offer, values, model: () => field("model").value, showAll: () => { put("labelled", "any"); write(); changed("labelled"); } };
}
