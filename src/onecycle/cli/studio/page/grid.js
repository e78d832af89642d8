// A grid of any number of items: only those in view exist, and are loaded when scrolling rests.

import { get } from "./api.js";
import { h } from "./dom.js";
import { t } from "./text.js";

const WINDOW = 240, REST = 90;  // items asked for at once; milliseconds

export class Grid {
  constructor(options) {
    this.options = options;  // { item, onchoose(i, row), onkey(event, row) }
    this.query = {};
    this.rows = new Map();  // position in the selection -> row
    this.asked = new Set();
    this.cells = new Map();
    this.total = 0;
    this.at = 0;
    this.space = h("div", { className: "space" });
    this.box = h("div", { className: `grid ${options.item.wide ? "" : "list"}`, tabIndex: 0, role: "listbox", "aria-label": t("data.grid") }, this.space);
    this.box.addEventListener("scroll", () => this.plan(), { passive: true });
    this.box.addEventListener("keydown", event => this.key(event));
    this.box.addEventListener("click", event => {
      const cell = event.target.closest(".cell");
      if (cell) this.choose(Number(cell.dataset.at));
    });
    this.box.addEventListener("dblclick", event => { if (event.target.closest(".cell")) options.onopen(this.row()); });
    new ResizeObserver(() => this.layout()).observe(this.box);
  }

  async load(query, keep = false) {
    this.query = query;
    this.rows.clear();
    this.asked.clear();
    this.turn = (this.turn ?? 0) + 1;
    if (!keep) { this.at = 0; this.box.scrollTop = 0; }
    await this.fetch(Math.max(0, this.first() - this.first() % WINDOW));
    this.layout();
  }

  async fetch(from) {
    if (this.asked.has(from)) return;
    this.asked.add(from);
    const turn = this.turn, asked = new URLSearchParams({ ...this.query, from, count: WINDOW });
    const found = await get(`api/items?${asked}`);
    if (turn !== this.turn) return;
    found.rows.forEach((row, i) => this.rows.set(from + i, row));
    if (this.total !== found.total) { this.total = found.total; this.options.ontotal(found.total); }
    this.layout();
  }

  layout() {
    const style = getComputedStyle(document.documentElement), rem = parseFloat(style.fontSize);
    const { wide, high } = this.options.item;
    this.high = high * rem + 4;
    this.wide = wide ? wide * rem + 4 : 0;
    this.columns = wide ? Math.max(1, Math.floor(this.box.clientWidth / this.wide)) : 1;
    this.space.style.height = `${Math.ceil(this.total / this.columns) * this.high}px`;
    this.draw();
  }

  first() { return Math.max(0, Math.floor(this.box.scrollTop / (this.high ?? 172)) - 1) * (this.columns ?? 1); }

  plan() {
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  draw() {
    const first = this.first(), rows = Math.ceil(this.box.clientHeight / this.high) + 3;
    const last = Math.min(this.total, first + rows * this.columns), seen = new Set();
    for (let at = first; at < last; at++) {
      seen.add(at);
      const row = this.rows.get(at);
      let cell = this.cells.get(at);
      if (cell && cell.row !== row) { cell.remove(); cell = null; }
      if (!cell) this.cells.set(at, cell = this.cell(at, row));
      const top = `${Math.floor(at / this.columns) * this.high}px`, left = `${at % this.columns * this.wide}px`;
      if (cell.style.top !== top) cell.style.top = top;
      if (cell.style.left !== left) cell.style.left = left;
      if (!cell.isConnected) this.space.append(cell);
    }
    for (const [at, cell] of this.cells) if (!seen.has(at)) { cell.remove(); this.cells.delete(at); }
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.rest(first, last), REST);
    this.mark();
  }

  // Images and windows are asked for once scrolling rests, so that it never waits for them.
  rest(first, last) {
    for (const cell of this.cells.values()) {
      const image = cell.querySelector("img");
      if (image && !image.src) image.src = image.dataset.src;
    }
    for (let from = first - first % WINDOW; from < last; from += WINDOW) this.fetch(from).catch(() => this.asked.delete(from));
  }

  cell(at, row) {
    const cell = h("div", { className: "cell", role: "option", id: `cell-${at}`, "aria-setsize": this.total, "aria-posinset": at + 1 });
    cell.dataset.at = at;
    cell.row = row;
    cell.style.height = `${this.options.item.high}rem`;
    if (!row) return cell;
    const label = row.label ?? t("data.no_label");
    cell.className = `cell${row.out ? " out" : ""}${row.label ? "" : " none"}`;
    cell.append(this.options.item.cell(row), h("p", { className: "said" }, row.out ? `${t("data.out")} · ` : "", label, row.side === "train" ? "" : ` · ${t(`side.${row.side}`)}`));
    cell.setAttribute("aria-label", `${row.text ?? row.name}, ${label}`);
    return cell;
  }

  mark() {
    for (const [at, cell] of this.cells) {
      const on = String(at === this.at);
      if (cell.getAttribute("aria-selected") !== on) cell.setAttribute("aria-selected", on);
    }
    this.box.setAttribute("aria-activedescendant", `cell-${this.at}`);
  }

  row() { return this.rows.get(this.at); }

  choose(at) {
    this.at = Math.max(0, Math.min(this.total - 1, at));
    const top = Math.floor(this.at / this.columns) * this.high;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + this.high > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + this.high - this.box.clientHeight;
    this.draw();
    this.options.onchoose(this.row());
  }

  key(event) {
    const page = this.columns * Math.max(1, Math.floor(this.box.clientHeight / this.high));
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, PageDown: page, PageUp: -page, Home: -this.total, End: this.total }[event.key];
    if (step !== undefined) { event.preventDefault(); this.choose(this.at + step); } else if (event.key === "Enter" && this.row()) this.options.onopen(this.row());
    else this.options.onkey(event, this.row());
  }

  // The row under the hand, as it is after a change.
  replace(row) {
    for (const [at, old] of this.rows) if (old.i === row.i) this.rows.set(at, { ...old, ...row });
    this.draw();
  }
}
