// A small network from one number to one number: its layers, its gradients, and Adam.

export const ACTIVATIONS = {
  relu: { name: "ReLU", f: z => Math.max(0, z), slope: z => (z > 0 ? 1 : 0), gain: 2 },
  leaky: { name: "Leaky ReLU", f: z => (z > 0 ? z : 0.01 * z), slope: z => (z > 0 ? 1 : 0.01), gain: 2 },
  tanh: { name: "Tanh", f: Math.tanh, slope: z => 1 - Math.tanh(z) ** 2, gain: 1 },
  sigmoid: { name: "Sigmoid", f: logistic, slope: z => logistic(z) * (1 - logistic(z)), gain: 1 },
  none: { name: "Nothing (linear)", f: z => z, slope: () => 1, gain: 1 },
};

function logistic(z) {
  return 1 / (1 + Math.exp(-z));
}

/** Random numbers in [0, 1) that are the same for the same seed (mulberry32, T. Ettinger). */
export function luck(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `layers` hidden layers of `width` units: one Float64Array of weights w (out x in) and b per layer. */
export function network(layers, width, activation, seed) {
  const random = luck(seed), kind = ACTIVATIONS[activation];
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const sizes = [1, ...Array(layers).fill(width), 1], made = [];
  for (let i = 0; i + 1 < sizes.length; i++) {
    const [wide, out] = [sizes[i], sizes[i + 1]];
    const spread = i === 0 ? 3 : Math.sqrt(kind.gain / wide); // inputs lie between -1 and 1
    const w = Float64Array.from({ length: wide * out }, () => spread * normal());
    // The first layer's bends lie inside the image: a unit bends where w x + b = 0.
    const b = Float64Array.from({ length: out }, (_, j) => (i === 0 ? w[j] * (2 * random() - 1) : 0));
    made.push({ wide, out, w, b });
  }
  return { layers: made, kind };
}

/** What goes into and out of each layer for one number x. */
function forward(net, x) {
  const into = [Float64Array.of(x)], sums = [];
  net.layers.forEach(({ wide, out, w, b }, i) => {
    const given = into[i], z = Float64Array.from(b);
    for (let j = 0; j < out; j++) for (let k = 0; k < wide; k++) z[j] += w[j * wide + k] * given[k];
    sums.push(z);
    into.push(i + 1 < net.layers.length ? z.map(net.kind.f) : z);
  });
  return { into, sums };
}

/** The network's answer for x. */
export const answer = (net, x) => forward(net, x).into.at(-1)[0];

/** Mean squared error on points [x, y], and its gradient: {loss, gradients: [{w, b}]}. */
export function gradients(net, points) {
  const found = net.layers.map(({ w, b }) => ({ w: new Float64Array(w.length), b: new Float64Array(b.length) }));
  let loss = 0;
  for (const [x, y] of points) {
    const { into, sums } = forward(net, x), off = into.at(-1)[0] - y;
    loss += off * off / points.length;
    let back = Float64Array.of(2 * off / points.length); // d loss / d sums of this layer
    for (let i = net.layers.length - 1; i >= 0; i--) {
      const { wide, out, w } = net.layers[i], below = new Float64Array(wide);
      for (let j = 0; j < out; j++) {
        found[i].b[j] += back[j];
        for (let k = 0; k < wide; k++) {
          found[i].w[j * wide + k] += back[j] * into[i][k];
          below[k] += back[j] * w[j * wide + k];
        }
      }
      if (i > 0) back = below.map((v, k) => v * net.kind.slope(sums[i - 1][k]));
    }
  }
  return { loss, gradients: found };
}

/** A function that moves the weights one step of Adam (Kingma & Ba 2015) and returns the loss. */
export function trainer(net, rate) {
  const zeros = () => net.layers.map(({ w, b }) => ({ w: new Float64Array(w.length), b: new Float64Array(b.length) }));
  const first = zeros(), second = zeros();
  let steps = 0;
  return points => {
    const told = gradients(net, points);
    steps++;
    const size = rate * Math.sqrt(1 - 0.999 ** steps) / (1 - 0.9 ** steps);
    net.layers.forEach((layer, i) => {
      for (const part of ["w", "b"]) {
        const g = told.gradients[i][part], m = first[i][part], v = second[i][part];
        for (let k = 0; k < g.length; k++) {
          m[k] = 0.9 * m[k] + 0.1 * g[k];
          v[k] = 0.999 * v[k] + 0.001 * g[k] * g[k];
          layer[part][k] -= size * m[k] / (Math.sqrt(v[k]) + 1e-8);
        }
      }
    });
    return told.loss;
  };
}
