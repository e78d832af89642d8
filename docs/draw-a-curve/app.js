// The page: a curve that is drawn, choices, and a network that is trained between two images.

import { ACTIVATIONS, answer, network, trainer } from "./network.js";

const POINTS = 64, MILLISECONDS = 12; // of training between two images
const $ = id => document.getElementById(id);
const xs = Array.from({ length: POINTS }, (_, i) => (2 * i) / (POINTS - 1) - 1);
const CURVES = {
  wave: x => 0.7 * Math.sin(2 * Math.PI * x),
  corner: x => 1.4 * Math.abs(x) - 0.7,
  step: x => (x > 0.1 ? 0.6 : -0.6),
};
const state = { ys: xs.map(CURVES.wave), net: null, train: null, steps: 0, losses: [], running: true, seed: 1, cursor: null };

for (const [value, { name }] of Object.entries(ACTIVATIONS)) $("activation").add(new Option(name, value));
$("activation").value = "tanh";

const pairs = () => xs.map((x, i) => [x, state.ys[i]]);
const colour = name => getComputedStyle(document.body).getPropertyValue(`--${name}`);

/** A new network of the chosen kind. */
function begin() {
  const [layers, width, rate] = ["layers", "width", "rate"].map(id => Number($(id).value));
  state.net = network(layers, width, $("activation").value, state.seed);
  state.train = trainer(state.net, 10 ** rate);
  state.steps = 0;
  state.losses = [];
  $("layers-said").textContent = layers;
  $("width-said").textContent = width;
  $("rate-said").textContent = (10 ** rate).toPrecision(2);
  $("count").textContent = state.net.layers.reduce((sum, { w, b }) => sum + w.length + b.length, 0);
  say("");
}

function say(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

function train() {
  const data = pairs(), end = performance.now() + MILLISECONDS;
  do {
    const loss = state.train(data);
    if (!Number.isFinite(loss)) {
      setRunning(false);
      return say("The error is no longer a number: choose a smaller rate.");
    }
    state.steps++;
    state.losses.push(loss);
  } while (performance.now() < end);
  if (state.losses.length > 4000) state.losses = state.losses.filter((_, i) => i % 2 === 0);
}

function setRunning(running) {
  state.running = running;
  $("run").textContent = running ? "Stop" : "Go on";
}

/** The canvas's context at the screen's resolution, cleared; sizes in CSS pixels. */
function cleared(canvas) {
  const { clientWidth: w, clientHeight: h } = canvas, dense = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(w * dense)) canvas.width = Math.round(w * dense);
  if (canvas.height !== Math.round(h * dense)) canvas.height = Math.round(h * dense);
  const context = canvas.getContext("2d");
  context.setTransform(dense, 0, 0, dense, 0, 0);
  context.clearRect(0, 0, w, h);
  return { context, w, h };
}

function line(context, points, colour, width) {
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.stroke();
}

function draw() {
  const { context, w, h } = cleared($("canvas"));
  const at = (x, y) => [((x + 1) / 2) * w, ((1 - y) / 2) * h];
  line(context, [at(-1, 0), at(1, 0)], colour("line"), 1);
  line(context, xs.map((x, i) => at(x, state.ys[i])), colour("drawn"), 5);
  const fine = Array.from({ length: 200 }, (_, i) => i / 99.5 - 1);
  line(context, fine.map(x => at(x, answer(state.net, x))), colour("accent"), 2.5);
  if (state.cursor !== null) {
    context.beginPath();
    context.arc(...at(xs[state.cursor], state.ys[state.cursor]), 7, 0, 7);
    context.strokeStyle = colour("text");
    context.stroke();
  }
  drawHistory();
  $("steps").textContent = state.steps;
  $("loss").textContent = state.losses.length ? state.losses.at(-1).toExponential(1) : "–";
}

function drawHistory() {
  const { context, w, h } = cleared($("history")), n = state.losses.length;
  if (n < 2) return;
  const place = loss => (h - 8) * (Math.log10(Math.max(1e-6, Math.min(loss, 1))) / -6) + 4;
  const every = Math.max(1, Math.floor(n / w));
  const shown = state.losses.filter((_, i) => i % every === 0);
  line(context, shown.map((loss, i) => [(i / (shown.length - 1)) * w, place(loss)]), colour("accent"), 1.5);
}

/** Bend the curve from one pointer position to the next. */
function bend(from, to) {
  const [left, right] = from.x <= to.x ? [from, to] : [to, from];
  xs.forEach((x, i) => {
    if (x < left.x - 1 / POINTS || x > right.x + 1 / POINTS) return;
    const share = right.x > left.x ? Math.min(1, Math.max(0, (x - left.x) / (right.x - left.x))) : 1;
    state.ys[i] = left.y + share * (right.y - left.y);
  });
}

let last = null;
const place = event => {
  const box = $("canvas").getBoundingClientRect();
  const clip = v => Math.max(-1, Math.min(1, v));
  return { x: clip(2 * (event.clientX - box.left) / box.width - 1), y: clip(1 - 2 * (event.clientY - box.top) / box.height) };
};
$("canvas").addEventListener("pointerdown", event => {
  $("canvas").setPointerCapture(event.pointerId);
  state.cursor = null;
  last = place(event);
  bend(last, last);
});
$("canvas").addEventListener("pointermove", event => {
  if (!last) return;
  const now = place(event);
  bend(last, now);
  last = now;
});
for (const name of ["pointerup", "pointercancel"]) $("canvas").addEventListener(name, () => (last = null));

$("canvas").addEventListener("keydown", event => {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 0.08], ArrowDown: [0, -0.08] }[event.key];
  if (!moves) return;
  event.preventDefault();
  state.cursor = Math.max(0, Math.min(POINTS - 1, (state.cursor ?? POINTS / 2) + moves[0]));
  // Neighbours go along, less with distance, so that a bump stays smooth.
  if (moves[1]) xs.forEach((x, i) => {
    const share = Math.exp(-(((i - state.cursor) / 3) ** 2));
    state.ys[i] = Math.max(-1, Math.min(1, state.ys[i] + share * moves[1]));
  });
  say(`At ${xs[state.cursor].toFixed(2)} the curve is ${state.ys[state.cursor].toFixed(2)}`);
});
$("canvas").addEventListener("blur", () => (state.cursor = null));

$("choices").addEventListener("input", begin);
$("choices").addEventListener("submit", event => event.preventDefault());
$("run").onclick = () => setRunning(!state.running);
$("again").onclick = () => { state.seed++; begin(); setRunning(true); };
$("examples").addEventListener("click", event => {
  const curve = CURVES[event.target.dataset.curve];
  if (curve) { state.ys = xs.map(curve); begin(); setRunning(true); }
});

function frame() {
  if (state.running && !document.hidden) train();
  draw();
  requestAnimationFrame(frame);
}
begin();
frame();
