// Train: what may be trained, its progress, and how it ended.

import { byId, el, say } from "../page/dom.js";
import { follow, hasEnded } from "./events.js";
import { showResult } from "./result.js";
import * as service from "./service.js";

export const FEWEST = 5; // photos of a class, as `hubel train` asks for
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const STEPS = { queued: "Waiting for its turn", running: "Training" };
const ENDS = {
  failed: "The training failed",
  cancelled: "The training was cancelled",
  interrupted: "The training was interrupted",
};

// `about` has dataset(), counts() as [{label, photos}], settled(), which returns whether all photos were sent, finished(job) and fail(error, again).
export function training(about) {
  let job = null; // the one that is shown
  let following = new AbortController();
  let starting = false; // while photos are sent before a training

  byId("train-form").addEventListener("submit", (event) => {
    event.preventDefault();
    start();
  });
  byId("cancel").addEventListener("click", cancel);
  byId("model-name").addEventListener("input", () => (byId("model-name").dataset.own = "yes"));

  // What stands in the way of a training, or what will be trained.
  function reason() {
    const counts = about.counts();
    const total = counts.reduce((sum, { photos }) => sum + photos, 0);
    const few = counts.filter(({ photos }) => photos < FEWEST);
    if (counts.length < 2) return [false, "Give photos to at least two classes."];
    if (few.length) {
      const names = few.map(({ label, photos }) => `${label} (${photos})`).join(", ");
      return [false, `Each class needs at least ${FEWEST} photos. Too few: ${names}.`];
    }
    return [true, `${total.toLocaleString("en")} photos in ${counts.length} classes.`];
  }

  function refresh() {
    const isBusy = job && !hasEnded(job);
    const [isReady, text] = reason();
    byId("train-told").textContent = isBusy ? "" : text;
    byId("train-told").hidden = isBusy;
    byId("train-form").hidden = isBusy;
    byId("train-now").disabled = !isReady || starting;
    byId("train-now").textContent = job?.state === "done" && job.request.train?.dataset === about.dataset() ? "Train again" : "Train";
    if (!byId("model-name").dataset.own) byId("model-name").value = about.dataset();
  }

  function request() {
    const model = byId("model-name").value.trim();
    if (!NAME.test(model)) {
      byId("model-name").closest("details").open = true;
      byId("model-name").focus();
      throw Object.assign(new Error("bad name"), { isName: true });
    }
    const options = {};
    for (const id of ["quality", "fit"]) if (byId(id).value) options[id] = byId(id).value;
    const captures = byId("captures").checked;
    return {
      train: { dataset: about.dataset(), captures, model, recipe: "head", options },
      promote: byId("promote").value || null,
    };
  }

  async function start() {
    if (starting) return;
    starting = true;
    refresh();
    try {
      if (await about.settled()) {
        const wanted = request();
        show(await service.start(wanted));
        attach();
      }
      starting = false;
      refresh();
    } catch (error) {
      starting = false;
      refresh();
      if (error.isName) byId("train-told").textContent = "The model's name has small letters, digits, and . _ - between them.";
      else about.fail(error, start);
    }
  }

  async function cancel() {
    byId("cancel").disabled = true;
    try {
      await service.cancel(job.id);
    } catch (error) {
      about.fail(error, cancel);
    } finally {
      byId("cancel").disabled = false;
    }
  }

  async function resume(id) {
    try {
      show(await service.resume(id));
      attach();
    } catch (error) {
      about.fail(error, () => resume(id));
    }
  }

  // Follows the job that is shown, to its end.
  function attach() {
    following.abort();
    following = new AbortController();
    const { signal } = following;
    follow(job.id, (told) => signal.aborted || show(told), signal).then(
      () => signal.aborted || (hasEnded(job) && about.finished(job)),
      (error) => signal.aborted || about.fail(error, attach),
    );
  }

  function show(told) {
    const before = job?.id === told.id ? job.state : null;
    job = told;
    const isOver = hasEnded(told);
    byId("job").hidden = isOver;
    byId("result").hidden = !isOver;
    if (isOver) showEnd(told, before !== null && before !== told.state);
    else showProgress(told);
    refresh();
  }

  function showProgress({ state, progress, request: asked }) {
    byId("job-step").textContent = state === "queued" ? STEPS.queued : capital(progress.step || STEPS.running);
    const of = progress.total ? `${(progress.done ?? 0).toLocaleString("en")} of ${progress.total.toLocaleString("en")}` : progress.detail;
    const isOther = asked.train && asked.train.dataset !== about.dataset();
    byId("job-detail").textContent = isOther ? `of the model ${(asked.train ?? asked.import).model}. ${of}` : of;
    const bar = byId("job-bar");
    if (state === "running" && progress.total) bar.value = (progress.done ?? 0) / progress.total;
    else bar.removeAttribute("value");
    byId("job-left").textContent = state === "running" && progress.seconds_left ? `About ${duration(progress.seconds_left)} left` : "";
  }

  function showEnd(told, isNew) {
    if (told.state === "done") {
      showResult(byId("result"), told, about.fail);
      if (isNew) say(`Version ${told.result.version} of ${told.result.model} is ready.`);
      return;
    }
    const again = el("button", { type: "button", textContent: "Go on with it" });
    again.addEventListener("click", () => resume(told.id));
    byId("result").replaceChildren(
      el("h3", { textContent: ENDS[told.state] }),
      ...(told.problem ? [el("p", { textContent: told.problem.detail })] : []),
      ...(told.state === "interrupted" && told.can_resume ? [again] : []),
    );
    if (isNew) say(ENDS[told.state]);
  }

  return {
    refresh,
    // Shows the newest job of all, whoever began it, if it runs or belongs to these photos.
    attachTo: (jobs) => {
      const mine = jobs.find((each) => !hasEnded(each)) ?? jobs.find((each) => each.request.train?.dataset === about.dataset());
      if (!mine) {
        job = null;
        byId("job").hidden = byId("result").hidden = true;
        return refresh();
      }
      show(mine);
      if (!hasEnded(mine)) attach();
      else if (mine.state === "done") about.finished(mine, true);
    },
    // Shows a job that was begun elsewhere.
    watch: (told) => {
      show(told);
      attach();
    },
    isRunning: () => job !== null && !hasEnded(job),
    stop: () => following.abort(),
  };
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} minutes`;
}
