// From the network's values to an answer in words, as the Python predictor decodes it.

/** {kind, headline, bars: [[name, share]], chips: [names], points: [[y, x]], mask} of one picture. */
export function decode(about, found, size) {
  return DECODERS[about.task.target.kind](about.task.target, found, size, about.task.input);
}

const DECODERS = {
  category({ classes }, { probabilities }) {
    const bars = ranked(classes, probabilities);
    return { headline: String(bars[0][0]), bars: bars.slice(0, 5) };
  },
  multicategory({ classes, thresh }, { probabilities }) {
    const bars = ranked(classes, probabilities);
    const above = Math.fround(thresh); // in 32 bits, as numpy and torch compare
    const chips = classes.filter((_, i) => probabilities[i] > above).map(String);
    return { headline: chips.length ? "" : "None of its tags", chips, bars: bars.slice(0, 8) };
  },
  numbers({ names }, { probabilities }) {
    const lines = names.map((name, i) => `${name} ${Number(probabilities[i].toPrecision(4))}`);
    return { headline: lines.join(", ") };
  },
  points({ count }, { probabilities, box, inner }, size, input) {
    const whole = fixedSize(input) ?? [Number(inner[2]), Number(inner[3])];
    const points = Array.from({ length: count }, (_, i) => [0, 1].map((axis) => {
      const at = ((probabilities[2 * i + axis] + 1) / 2) * whole[axis] - Number(inner[axis]);
      return (at / Number(inner[axis + 2])) * Number(box[axis + 2]) + Number(box[axis]) - 0.5;
    }));
    return { headline: `${count} points`, points };
  },
  mask({ classes, void: none }, { mask, box }, size) {
    const [top, left, h, w] = Array.from(box, Number);
    const counts = new Array(classes.length).fill(0);
    let seen = 0; // the box may reach beyond the picture
    for (let y = Math.max(0, -top); y < Math.min(h, size[0] - top); y += 1) {
      for (let x = Math.max(0, -left); x < Math.min(w, size[1] - left); x += 1) {
        counts[mask[y * w + x]] += 1;
        seen += 1;
      }
    }
    const legend = classes
      .map((name, i) => [i, name, counts[i] / seen])
      .filter(([, , share]) => share > 0.002)
      .sort((a, b) => b[2] - a[2] || a[0] - b[0]);
    return { headline: "", legend, mask: { values: mask, top, left, h, w, none } };
  },
};

/** The [h, w] of the network's input, or null where it is that of the picture; `ImageSpec.fixed` in Python. */
function fixedSize({ size, window, view, resize_method: method }) {
  if (view?.length) return size ?? window ?? null;
  return method === "none" ? null : size;
}

/** [name, share] of every class, the likeliest first. */
export function ranked(classes, shares) {
  return classes
    .map((name, i) => [name, shares[i], i])
    .sort((a, b) => b[1] - a[1] || a[2] - b[2])
    .map(([name, share]) => [name, share]);
}

/** The colour of a class, apart from its neighbours: [r, g, b]. */
export function colour(index) {
  const hue = (index * 137.508) % 360;
  const light = 0.45 + 0.15 * (index % 3);
  const f = (n) => {
    const k = (n + hue / 30) % 12;
    const share = light - 0.38 * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * Math.max(0, Math.min(1, share)));
  };
  return [f(0), f(8), f(4)];
}
