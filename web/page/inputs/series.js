// Series: a field to draw curves in, and CSV files; tables and gaps by the rules of the Python side.

import { at, colour, controls } from "../view.js";

const [WIDTH, HEIGHT, EDGE] = [600, 300, 0.06]; // the field in its own pixels; free at top and bottom
const CONTROLS = `
  <section id="curving">
    <p id="curve-hint">Draw a curve with a finger or the mouse, or open a CSV file.</p>
    <canvas id="curve" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="The series"></canvas>
    <div>
      <select id="channel" class="button" aria-label="Channel that is drawn" hidden></select>
      <label class="button primary"><input id="csv" type="file" accept=".csv,.tsv,.txt,text/csv" class="hidden-input"><span>Open CSV</span></label>
      <button id="clear" class="button" type="button">Clear</button>
    </div>
  </section>`;

export const subtitle = "Runs on this device. No number leaves it.";

export const rows = ({ channels }) => ({ Channels: channels });

export const feed = () => (rows) => {
  const values = Float32Array.from(rows.flatMap((row) => Array.from(row)));
  return { series: ["float32", values, [1, rows.length, rows[0].length]] };
};

/** The field and the buttons; a series is one row of numbers for each channel. */
export function start(spec, page) {
  controls(CONTROLS);
  const [canvas, csv, channel] = ["curve", "csv", "channel"].map(at);
  for (let c = 0; c < spec.channels; c += 1) channel.add(new Option(`Channel ${c + 1}`, String(c)));
  channel.hidden = spec.channels === 1;
  let strokes = empty(spec.channels); // heights from 0 to 1 by column, NaN where nothing is drawn

  const ask = async (rows, ranges) => {
    const whole = fill(rows, spec.by === "series");
    draw(canvas, whole, ranges ?? whole.map(range));
    window.lastSeries = whole.map((row) => Array.from(row));
    await page.answer(whole);
  };
  const take = ([file]) => {
    if (!file) return;
    strokes = empty(spec.channels);
    file.text().then((text) => ask(parse(text, spec.channels))).catch(page.refuse);
  };
  const finish = () => {
    const drawn = crop(strokes);
    if (drawn[0].length < 2) return page.refuse(new Error("Draw a longer curve."));
    const ranges = drawn.map((_, c) => [spec.low[c] ?? 0, spec.high[c] ?? 1]);
    ask(drawn.map((row, c) => row.map((v) => ranges[c][0] + v * (ranges[c][1] - ranges[c][0]))), ranges).catch(page.refuse);
  };
  csv.addEventListener("change", () => {
    take(csv.files);
    csv.value = "";
  });
  at("clear").addEventListener("click", () => {
    strokes = empty(spec.channels);
    canvas.getContext("2d").clearRect(0, 0, WIDTH, HEIGHT);
    page.clear();
  });
  followPointer(canvas, () => strokes[Number(channel.value)], () => draw(canvas, strokes, strokes.map(() => [0, 1])), finish);
  return take;
}

/** The least and the largest value; a row may be too long to be arguments of Math.min. */
const range = (row) => [row.reduce((a, b) => Math.min(a, b)), row.reduce((a, b) => Math.max(a, b))];

const empty = (channels) => Array.from({ length: channels }, () => new Array(WIDTH).fill(NaN));

/** The columns in which something is drawn; a channel without a curve lies in the middle. */
function crop(strokes) {
  const columns = Array.from({ length: WIDTH }, (_, x) => x).filter((x) => strokes.some((row) => !Number.isNaN(row[x])));
  const [first, last] = [columns[0] ?? 0, columns.at(-1) ?? 0];
  return strokes.map((row) => {
    const part = row.slice(first, last + 1);
    return part.every(Number.isNaN) ? part.fill(0.5) : part;
  });
}

/** Follow the pointer: each stroke begins a new curve in `row()`; a later height of a column wins. */
function followPointer(canvas, row, moved, done) {
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

// --- tables ---

const NUMBER = /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?$/i;
const LARGEST = 1e15; // as on the Python side
const GAPS = new Set(["", "?", "na", "nan", "null"]);

function value(cell) {
  if (GAPS.has(cell.toLowerCase())) return NaN;
  return NUMBER.test(cell) ? Number(cell) : null;
}

function cells(line) {
  const parts = /[,;\t]/.test(line) ? line.split(/[,;\t]/) : line.trim().split(/\s+/);
  return parts.map((part) => part.replace(/^[ "]+|[ "]+$/g, ""));
}

/** An error for decimal commas, and for numbers of columns in place of names. */
function onlyOneWay(rows, lines) {
  const mixed = rows.find(([i]) => lines[i - 1].includes(",") && /[;\t]/.test(lines[i - 1]));
  if (mixed) throw new Error(`Line ${mixed[0]} of the table: commas beside semicolons or tabs: write 1.5, not 1,5.`);
  const [[first, names], ...rest] = rows;
  const skip = names[0] ? 0 : 1; // pandas writes no name above the index
  const below = rest.flatMap(([, row]) => row.slice(skip)).filter((cell) => !Number.isNaN(value(cell)));
  if (names.length > skip && names.slice(skip).every((name, i) => name === String(i)) && below.length && below.every((cell) => /[.e]/i.test(cell))) {
    throw new Error(`Line ${first} of the table: "${names[skip]}" is a column's number, as pandas writes it, or a value: write it with header=False, or values as 0.0.`);
  }
}

/** A CSV text as one row of numbers for each channel, NaN for gaps. */
export function parse(text, channels) {
  const lines = text.replace(/^\uFEFF/, "").split("\n").map((line) => line.replace(/^[ \r]+|[ \r]+$/g, ""));
  const held = [...lines.keys()].filter((i) => lines[i]);
  const named = held.length && cells(lines[held[0]]).map(value).includes(null);
  let rows = held.length ? lines.map((line, i) => [i + 1, cells(line)]).slice(held[0] + (named ? 1 : 0), held.at(-1) + 1) : [];
  if (!rows.length) throw new Error("The table holds no numbers.");
  if (rows.some(([, row]) => row.length > 1)) rows = rows.filter(([i]) => lines[i - 1]);
  onlyOneWay(rows, lines);
  rows = rows.map(([i, row]) => [i, row.map(value)]);
  const width = rows[0][1].length;
  for (const [i, row] of rows) {
    if (row.includes(null) || row.length !== width) throw new Error(`Line ${i} of the table: ${width} numbers are wanted.`);
  }
  const table = rows.map(([, row]) => row);
  if (width === channels) return Array.from({ length: width }, (_, c) => table.map((row) => row[c]));
  if (table.length === channels) return table;
  throw new Error(`The table has ${table.length} rows and ${width} columns; the model takes ${channels} channel(s), one a column or one a row.`);
}

/** What to subtract from a row, and to divide it by, where its level and unit do not count: `_shifted` in Python. */
function unit(row) {
  let [low, high] = [Infinity, -Infinity];
  for (const v of row) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  const [apart, top] = [high - low, Math.max(-low, high)];
  const small = apart > 1e-12 * top && apart < 1e-3;
  const blurs = apart > 1e-12 * top && apart < 1e-3 * top;
  return [small || blurs ? low : 0, small ? apart : 1];
}

/** The same rows without gaps: float32, straight lines between the neighbours; `shift` as in Python. */
export function fill(rows, shift) {
  const steps = Math.max(0, ...rows.map((row) => row.findLastIndex((v) => !Number.isNaN(v)) + 1)); // gaps at the end are padding
  return rows.map((given, c) => {
    const [low, apart] = shift ? unit(given) : [0, 1];
    const row = Float32Array.from(given.slice(0, steps), (v) => (v - low) / apart);
    if (row.length < 2) throw new Error("A series has two values at least.");
    if (given.some((v) => Math.abs(v) > LARGEST)) throw new Error("The series holds values beyond 1e15: scale them.");
    const known = Array.from(row.keys()).filter((i) => !Number.isNaN(row[i]));
    if (!known.length) throw new Error(`Channel ${c + 1} holds no number at all.`);
    let right = 0;
    return row.map((v, i) => {
      while (right < known.length && known[right] < i) right += 1;
      const [a, b] = [known[Math.max(0, right - 1)], known[Math.min(right, known.length - 1)]];
      if (!Number.isNaN(v)) return v;
      return i <= a || a === b ? row[a] : i >= b ? row[b] : row[a] + ((row[b] - row[a]) * (i - a)) / (b - a);
    });
  });
}
