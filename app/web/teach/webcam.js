// The webcam: one stream, in one place of the page at a time; photos of it at the camera's resolution.

const QUALITY = 0.92; // of the JPEGs
const WIDTH = 1280; // asked for; the camera gives what it has
const HEIGHT = 720;

let stream = null;
let owner = null; // what is shown of the stream, and who is told when another takes it

export const TEXTS = {
  insecure: "The browser lets a page use the webcam only over HTTPS, or on this computer at http://localhost.",
  NotAllowedError: "The browser doesn't let this page use the webcam. Allow it beside the page's address, then try again.",
  NotFoundError: "No webcam was found. Connect one, or choose photos instead.",
  NotReadableError: "The webcam is used by another program. Close it, then try again.",
  ended: "The webcam was disconnected.",
};

// Shows the webcam in a <video>. `closed` is called, with a text or none, when it stops there.
export async function openWebcam(video, closed) {
  closeWebcam();
  const own = { video, closed };
  owner = own;
  try {
    if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("", "insecure");
    const opened = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: WIDTH }, height: { ideal: HEIGHT }, facingMode: { ideal: "environment" } },
    });
    if (owner !== own) {
      for (const track of opened.getTracks()) track.stop(); // closed while the browser asked
      return false;
    }
    stream = opened;
    for (const track of opened.getTracks()) track.addEventListener("ended", () => owner === own && closeWebcam(TEXTS.ended));
    video.srcObject = opened;
    await video.play();
    return true;
  } catch (error) {
    if (owner === own) closeWebcam(TEXTS[error.name] ?? `The webcam can't be opened (${error.name}).`);
    return false;
  }
}

export function closeWebcam(text = "") {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  const before = owner;
  owner = null;
  if (!before) return;
  before.video.srcObject = null;
  before.closed(text);
}

// For a part of the page that goes.
export const closeWebcamIn = (node) => owner && node.contains(owner.video) && closeWebcam();

export const shows = (video) => owner?.video === video && stream !== null && video.videoWidth > 0;

// What the webcam sees now, as a JPEG file; `shorter` limits the shorter side, in pixels.
export async function shoot(video, shorter = Infinity) {
  const { videoWidth: width, videoHeight: height } = video;
  const scale = Math.min(1, shorter / Math.min(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
  return blob && new File([blob], `webcam-${Date.now()}.jpg`, { type: "image/jpeg" });
}

// Calls `take` while a button is held by pointer or by keyboard; once where it is only pressed.
export function whileHeld(button, take, everyMs) {
  let held = false;
  let timer = 0;
  const run = async () => {
    if (!held) return;
    const begun = performance.now();
    await take();
    if (held) timer = setTimeout(run, Math.max(0, everyMs - (performance.now() - begun)));
  };
  const begin = () => {
    if (held || button.disabled) return;
    held = true;
    button.classList.add("held");
    run();
  };
  const end = () => {
    held = false;
    clearTimeout(timer);
    button.classList.remove("held");
  };
  const isKey = (event) => event.key === " " || event.key === "Enter";
  button.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    button.setPointerCapture(event.pointerId);
    begin();
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) button.addEventListener(name, end);
  button.addEventListener("keydown", (event) => {
    if (!isKey(event)) return;
    event.preventDefault(); // no click, and no scrolling
    begin();
  });
  button.addEventListener("keyup", (event) => isKey(event) && end());
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long press of a finger
  // A screen reader presses without a pointer or a key.
  button.addEventListener("click", (event) => event.detail === 0 && !held && take());
  return end;
}
