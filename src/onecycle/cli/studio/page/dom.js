// Elements, made of texts alone: nothing that comes from data is ever read as HTML.

export function h(tag, props = {}, ...children) {
  const svg = ["svg", "path", "polyline", "line", "rect", "circle", "text", "g", "title"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (!svg && name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

let timer;
export function say(text) {
  const place = document.getElementById("said");
  place.textContent = text;
  clearTimeout(timer);
  timer = setTimeout(() => { place.textContent = ""; }, 8000);
}

export const percent = value => value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`;
export const fixed = (value, digits = 3) => value === null || value === undefined ? "–" : value.toFixed(digits);

export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return parts.slice(parts[0] ? 0 : 1).map((n, i) => i ? String(n).padStart(2, "0") : n).join(":");
}
