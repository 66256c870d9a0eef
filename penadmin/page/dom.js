// Elements without markup: text stays text, whatever pen, a client or a server put into it.

// h("td.number", {title: "..."}, "text", element, [more]): a "." adds a class.
export function h(kind, attributes, ...content) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...content.flat().filter((part) => part !== null && part !== undefined && part !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
export function s(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Sets a text only when it is another, so that nothing is drawn or read aloud again for nothing.
export function say(element, text) {
  text = String(text);
  if (element.textContent !== text) element.textContent = text;
}

// Has `parent` show one element for each item, in their order. Elements stay with the key of their item, and keep focus.
export function keyed(parent, items, keyOf, create, update) {
  const known = (parent.known ??= new Map());
  const wanted = new Set();
  let place = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    if (wanted.has(key)) continue;
    wanted.add(key);
    let element = known.get(key);
    if (!element) known.set(key, (element = create(item)));
    update(element, item);
    if (element === place) place = place.nextSibling;
    else parent.insertBefore(element, place);
  }
  for (const [key, element] of known) {
    if (!wanted.has(key)) {
      element.remove();
      known.delete(key);
    }
  }
}

const whole = new Intl.NumberFormat("en");
export const count = (value) => (value === undefined || value === null ? "" : whole.format(value));

export function rate(value) {
  return value >= 100 || value === 0 ? whole.format(Math.round(value)) : value.toFixed(value < 10 ? 2 : 1);
}

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function span(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d`;
}

// A word of a command, in quotes where it needs them.
export function word(text) {
  if (/^[^\s"\\#]+$/.test(text)) return text;
  const escapes = { "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\" };
  return `"${text.replace(/[\n\r\t"\\]/g, (letter) => escapes[letter])}"`;
}

const toasts = document.getElementById("toasts");
export function toast(text, bad = false) {
  const element = h(bad ? "div.toast.bad" : "div.toast", null, text);
  toasts.append(element);
  while (toasts.children.length > 4) toasts.firstChild.remove();
  setTimeout(() => element.remove(), bad ? 12000 : 5000);
}
