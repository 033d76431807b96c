// The sample photos of the empty page: one click shows everything, as with a photo of one's own.

import { byId } from "./dom.js";

export function offerSamples(take, failed) {
  for (const button of byId("samples").querySelectorAll("button"))
    button.addEventListener("click", async () => {
      try {
        const answer = await fetch(button.querySelector("img").src);
        if (!answer.ok) throw new Error(`The sample photo answered ${answer.status}`);
        take([new File([await answer.blob()], button.dataset.file, { type: "image/jpeg" })]);
      } catch (error) {
        failed(error, () => button.click());
      }
    });
}
