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
  return parts.map((part) => value(part.replace(/^[ "]+|[ "]+$/g, "")));
}

/** A CSV text as one row of numbers for each channel, NaN for gaps. */
export function parse(text, channels) {
  const lines = text.replace(/^\uFEFF/, "").split("\n").map((line) => line.replace(/^[ \r]+|[ \r]+$/g, ""));
  let rows = lines.map((line, i) => [i + 1, line]).filter(([, line]) => line.trim()).map(([i, line]) => [i, cells(line)]);
  if (rows.length && rows[0][1].includes(null)) rows = rows.slice(1);
  if (!rows.length) throw new Error("The table holds no numbers.");
  const width = rows[0][1].length;
  for (const [i, row] of rows) {
    if (row.includes(null) || row.length !== width) throw new Error(`Line ${i} of the table: ${width} numbers are wanted.`);
  }
  const table = rows.map(([, row]) => row);
  if (width === channels) return Array.from({ length: width }, (_, c) => table.map((row) => row[c]));
  if (table.length === channels) return table;
  throw new Error(`The table has ${table.length} rows and ${width} columns; the model takes ${channels} channel(s), one a column or one a row.`);
}

/** The same rows without gaps: float32, straight lines between the neighbours. */
export function filled(rows) {
  return rows.map((given, c) => {
    const row = Float32Array.from(given);
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
