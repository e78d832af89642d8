// The page of a model of series: a field to draw a curve in, or a CSV file, in place of the picture.

import { colour } from "./answers.js";
import { filled, parse } from "./series.js";

const [WIDTH, HEIGHT, EDGE] = [600, 300, 0.06]; // the field in its own pixels; free at top and bottom
const FIELD = `
  <p id="curve-hint">Draw a curve with a finger or the mouse, or open a CSV file.</p>
  <canvas id="curve" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="The series"></canvas>
  <div>
    <select id="channel" class="button" aria-label="Channel that is drawn" hidden></select>
    <label class="button primary"><input id="csv" type="file" accept=".csv,.tsv,.txt,text/csv" class="hidden-input"><span>Open CSV</span></label>
    <button id="clear" class="button" type="button">Clear</button>
  </div>`;

/** Show the field; `answer(rows)` is called with one row of numbers for each channel, `forget()` where there is none. Returns what takes a file. */
export function curving(input, answer, say, forget) {
  for (const id of ["stage", "buttons"]) document.getElementById(id).hidden = true;
  document.getElementById("subtitle").textContent = "Runs on this device. No number leaves it.";
  const section = document.createElement("section");
  [section.id, section.innerHTML] = ["curving", FIELD];
  document.getElementById("answer").before(section);
  const [canvas, csv, clear, channel] = ["curve", "csv", "clear", "channel"].map((id) => document.getElementById(id));
  for (let c = 0; c < input.channels; c += 1) channel.add(new Option(`Channel ${c + 1}`, String(c)));
  channel.hidden = input.channels === 1;
  let strokes = empty(input.channels); // heights from 0 to 1 by column, NaN where nothing is drawn

  const refuse = (message) => {
    forget();
    say(message, true);
  };
  const ask = async (rows, ranges) => {
    try {
      const whole = filled(rows, input.by === "series");
      draw(canvas, whole, ranges ?? whole.map(range));
      window.lastSeries = whole.map((row) => Array.from(row));
      await answer(whole);
    } catch (error) {
      refuse(error.message);
    }
  };
  const take = async (file) => {
    strokes = empty(input.channels);
    try {
      await ask(parse(await file.text(), input.channels));
    } catch (error) {
      refuse(error.message);
    }
  };
  csv.addEventListener("change", () => {
    if (csv.files[0]) take(csv.files[0]);
    csv.value = "";
  });
  clear.addEventListener("click", () => {
    strokes = empty(input.channels);
    canvas.getContext("2d").clearRect(0, 0, WIDTH, HEIGHT);
    forget();
  });
  hand(canvas, () => strokes[Number(channel.value)], () => {
    draw(canvas, strokes, strokes.map(() => [0, 1]));
  }, () => {
    const drawn = cropped(strokes);
    if (drawn[0].length < 2) return refuse("Draw a longer curve.");
    const ranges = drawn.map((_, c) => [input.low[c] ?? 0, input.high[c] ?? 1]);
    ask(drawn.map((row, c) => row.map((v) => ranges[c][0] + v * (ranges[c][1] - ranges[c][0]))), ranges);
  });
  return take;
}

/** The least and the largest value; a row may be too long to be arguments of Math.min. */
const range = (row) => [row.reduce((a, b) => Math.min(a, b)), row.reduce((a, b) => Math.max(a, b))];

const empty = (channels) => Array.from({ length: channels }, () => new Array(WIDTH).fill(NaN));

/** The columns in which something is drawn; a channel without a curve lies in the middle. */
function cropped(strokes) {
  const columns = Array.from({ length: WIDTH }, (_, x) => x).filter((x) => strokes.some((row) => !Number.isNaN(row[x])));
  const [first, last] = [columns[0] ?? 0, columns.at(-1) ?? 0];
  return strokes.map((row) => {
    const part = row.slice(first, last + 1);
    return part.every(Number.isNaN) ? part.fill(0.5) : part;
  });
}

/** Follow the pointer: each stroke begins a new curve in `row()`; a later height of a column wins. */
function hand(canvas, row, moved, done) {
  let before = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = Math.max(0, Math.min(WIDTH - 1, Math.round(((event.clientX - box.left) / box.width) * WIDTH)));
    const y = 1 - (event.clientY - box.top) / box.height;
    return [x, Math.max(0, Math.min(1, (y - EDGE) / (1 - 2 * EDGE)))];
  };
  const put = (event) => {
    const [x, y] = place(event);
    const [from, height] = before ?? [x, y];
    for (let step = 0, n = Math.abs(x - from); step <= n; step += 1) {
      row()[from + Math.sign(x - from) * step] = n ? height + ((y - height) * step) / n : y;
    }
    before = [x, y];
    moved();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    row().fill(NaN);
    before = null;
    put(event);
  });
  canvas.addEventListener("pointermove", (event) => before && put(event));
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (before) done();
      before = null;
    });
  }
}

/** Draw rows of numbers over the whole width; `ranges` are [lowest, highest] of each. */
function draw(canvas, rows, ranges) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, WIDTH, HEIGHT);
  context.lineWidth = 3;
  rows.forEach((row, c) => {
    const [low, high] = ranges[c];
    const free = HEIGHT * EDGE;
    context.strokeStyle = `rgb(${colour(c + 4)})`;
    context.beginPath();
    let pen = false;
    row.forEach((v, i) => {
      const x = (i / (row.length - 1)) * (WIDTH - 1);
      const y = HEIGHT - free - (high > low ? (v - low) / (high - low) : 0.5) * (HEIGHT - 2 * free);
      if (Number.isNaN(v)) pen = false;
      else if (pen) context.lineTo(x, y);
      else context.moveTo(x, y);
      pen = !Number.isNaN(v);
    });
    context.stroke();
  });
}
