// Images: photos, the camera, the clipboard and dropped files become upright RGB bytes on white.

import { at, controls } from "../view.js";

const MOST = 16_000_000; // pixels; larger photos are shrunk, for the memory of a phone
const CONTROLS = `
  <section id="stage" aria-label="Image">
    <video id="video" playsinline muted hidden></video>
    <canvas id="canvas" hidden></canvas>
    <canvas id="over" hidden></canvas>
    <div id="empty">
      <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 7h3l1.5-2h7L17 7h3a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1Z"/><circle cx="12" cy="13" r="3.6"/></svg>
      <p>Take a photo, choose one, or drop it here</p>
    </div>
  </section>
  <div id="buttons">
    <label class="button primary" id="choose-label">
      <input id="choose" type="file" accept="image/*" class="hidden-input">
      <span>Choose photo</span>
    </label>
    <label class="button" id="take-label">
      <input id="take" type="file" accept="image/*" capture="environment" class="hidden-input">
      <span>Take photo</span>
    </label>
    <button class="button" id="live" type="button" aria-pressed="false">Live camera</button>
  </div>
  <p id="no-camera" hidden>The live camera needs an address that begins with https.</p>`;

export const subtitle = "Runs on this device. No image leaves it.";

export const rows = ({ size, window }) => ({ "Image size": (size ?? window)?.join(" × ") ?? "any" });

export const feed = () => ({ data, width, height }) => ({ image: ["uint8", data, [1, height, width, 3]] });

/** The [h, w] of the network's input, or null where it is that of the image; `ImageSpec.fixed` in Python. */
export function fixedSize({ size, window, view, resize_method: method }) {
  if (view?.length) return size ?? window ?? null;
  return method === "none" ? null : size;
}

/** Stage and buttons; every image that they give is answered, and drawn on the stage. */
export function start(spec, page) {
  controls(CONTROLS);
  const [stage, video, canvas, over, live] = ["stage", "video", "canvas", "over", "live"].map(at);
  let [stream, busy] = [null, false];

  /** Read what `source` shows, ask the model, and show its answer; `note` is said beside it. */
  async function answer(source, moving = false, note = "") {
    const began = performance.now();
    const image = read(source, canvas);
    const reply = await page.ask(image, { size: [image.height, image.width], began });
    if (moving && !stream) return; // stopped while the model was at work
    stage.classList.toggle("mirrored", moving && page.mirrors);
    const paint = () => {
      [over.width, over.height] = [image.width, image.height]; // which empties it
      page.draw(over, reply);
      darken(over, reply.outputs.box);
    };
    const shrunk = image.shrunk ? " The image was too large, and made smaller first." : "";
    const part = isWhole(reply.outputs.box, image) ? "" : " It is about the bright part.";
    page.show(reply, { paint, moving, note: part + shrunk + note });
  }

  /** Answer the first of some files; the others are not dropped without a word. */
  async function take(files) {
    const [blob, ...others] = files;
    if (!blob) return;
    if (busy) return page.say("Still looking at the image before: give this one again.", true);
    if (!page.ready()) return;
    const note = others.length ? ` Of ${files.length} images this is the first: give them one by one.` : "";
    stopCamera();
    busy = true;
    try {
      const bitmap = await open(blob);
      page.clear(); // the answer was about another image
      page.say("Looking…");
      over.width = 0;
      reveal(true);
      await answer(bitmap, false, note);
      bitmap.close();
    } catch (error) {
      fail(error);
    } finally {
      busy = false;
    }
  }

  function reveal(filled) {
    stage.classList.toggle("filled", filled);
    at("empty").hidden = filled;
    canvas.hidden = over.hidden = !filled;
  }

  /** Neither an image nor an answer, so that an error does not stand beside those of an earlier image. */
  function fail(error) {
    reveal(false);
    page.refuse(error);
  }

  async function startCamera() {
    if (!page.ready()) return;
    try {
      const facingMode = { ideal: page.mirrors ? "user" : "environment" };
      const wanted = { video: { facingMode, width: { ideal: 640 } }, audio: false };
      stream = await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
      return page.say(`No camera: ${error.message}. Choose a photo instead.`, true);
    }
    video.srcObject = stream;
    await video.play();
    reveal(true);
    at("answer").setAttribute("aria-live", "off"); // a voice cannot follow every frame
    live.setAttribute("aria-pressed", "true");
    live.textContent = "Stop camera";
    look();
  }

  /** One frame after the other, as fast as the model answers. */
  async function look() {
    while (stream) {
      try {
        if (video.readyState >= 2) await answer(video, true);
      } catch (error) {
        stopCamera();
        return fail(error);
      }
      await new Promise((next) => requestAnimationFrame(next));
    }
  }

  function stopCamera() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
    at("answer").setAttribute("aria-live", "polite");
    live.setAttribute("aria-pressed", "false");
    live.textContent = "Live camera";
  }

  for (const id of ["choose", "take"]) {
    at(id).addEventListener("change", (event) => {
      take([...event.target.files]);
      event.target.value = "";
    });
  }
  live.addEventListener("click", () => (stream ? stopCamera() : startCamera()));
  live.hidden = !navigator.mediaDevices?.getUserMedia;
  at("no-camera").hidden = window.isSecureContext;
  addEventListener("paste", (event) => take([...event.clipboardData.files].filter((f) => f.type.startsWith("image/"))));
  return take;
}

/** A blob as an upright bitmap; colour profiles are left aside, as in training. */
export async function open(blob) {
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new Error("This file is not an image that the browser can open.");
  }
}

/** Whether `box`, the [top, left, h, w] that the network looks at, covers the image; a pixel is of no account. */
export function isWhole(box, { width, height }) {
  if (!box) return true;
  const [top, left, h, w] = Array.from(box, Number);
  return top <= 1 && left <= 1 && top + h >= height - 1 && left + w >= width - 1;
}

/** Darken what lies outside the box on a canvas over the image. */
export function darken(canvas, box) {
  if (isWhole(box, canvas)) return;
  const [top, left, h, w] = Array.from(box, Number);
  const context = canvas.getContext("2d");
  context.beginPath();
  context.rect(0, 0, canvas.width, canvas.height);
  context.rect(left, top, w, h);
  context.fillStyle = "rgb(0 0 0 / 0.6)";
  context.fill("evenodd"); // inside both is outside
  context.strokeStyle = "#fff";
  context.lineWidth = Math.max(1, Math.min(canvas.width, canvas.height) / 200);
  context.strokeRect(left, top, w, h);
}

/** Draw a bitmap or video frame on `canvas`, and read it: {data: Uint8Array RGB, width, height, shrunk}. */
export function read(source, canvas) {
  const w = source.videoWidth ?? source.width;
  const h = source.videoHeight ?? source.height;
  const scale = Math.min(1, Math.sqrt(MOST / (w * h)));
  canvas.width = Math.max(1, Math.round(w * scale));
  canvas.height = Math.max(1, Math.round(h * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { data: withoutAlpha(data), width: canvas.width, height: canvas.height, shrunk: scale < 1 };
}

/** RGBA bytes as RGB bytes. */
export function withoutAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let i = 0, j = 0; i < rgba.length; i += 4, j += 3) {
    rgb[j] = rgba[i];
    rgb[j + 1] = rgba[i + 1];
    rgb[j + 2] = rgba[i + 2];
  }
  return rgb;
}
