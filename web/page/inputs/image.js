// Pictures: from files, the clipboard or a video to upright RGB bytes on white.

const MOST = 16_000_000; // pixels; larger photos are shrunk, for the memory of a phone

/** A blob as an upright bitmap; colour profiles are left aside, as in training. */
export async function open(blob) {
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new Error("This file is not a picture that the browser can open.");
  }
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
