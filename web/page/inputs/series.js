// Series: tables of numbers by the rules of the Python side, and gaps filled by straight lines.

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
export function filled(rows, shift) {
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
