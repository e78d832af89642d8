// Points in an image, drawn over it.

import { headlineOf } from "../view.js";

export const rows = () => ({});

/** {headline, points: [[y, x]]} in pixels of the image. */
export function decode({ count }, { probabilities, box, inner }, size, fixed) {
  const whole = fixed ?? [Number(inner[2]), Number(inner[3])];
  const points = Array.from({ length: count }, (_, i) => [0, 1].map((axis) => {
    const at = ((probabilities[2 * i + axis] + 1) / 2) * whole[axis] - Number(inner[axis]);
    return (at / Number(inner[axis + 2])) * Number(box[axis + 2]) + Number(box[axis]) - 0.5;
  }));
  return { headline: `${count} points`, points };
}

export const show = ({ headline }) => [headlineOf(headline)];

export function draw(canvas, { points }) {
  const context = canvas.getContext("2d");
  const radius = Math.max(2, Math.min(canvas.width, canvas.height) / 70);
  for (const [y, x] of points) {
    context.beginPath();
    context.arc(x + 0.5, y + 0.5, radius, 0, 2 * Math.PI);
    context.fillStyle = "#ff3b30";
    context.fill();
    context.strokeStyle = "#fff";
    context.lineWidth = radius / 3;
    context.stroke();
  }
}
