// Curves of the last minutes: what is above 0 is drawn to the highest value seen.
import { bytes, count, h, rate, s, say, span } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 120;
export const SPAN_MS = 5 * 60 * 1000;
const SHORTEST_MS = 60 * 1000;

function points(samples, value, most, from, to) {
  return samples.map((sample) => {
    const x = ((sample.epoch_ms - from) / (to - from)) * WIDTH;
    const y = HEIGHT - 4 - (value(sample) / most) * (HEIGHT - 10);
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  });
}

const most = (samples, value) => Math.max(1, ...samples.map(value));
const traffic = (sample) => sample.up_bytes + sample.down_bytes;

// Connections as an area, traffic as a line over it; each has its own scale, told in the legend.
export function curve() {
  const svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  const area = s("path", { class: "area" });
  const line = s("path", { class: "line" });
  const second = s("path", { class: "line second" });
  const now = s("path", { class: "now" });
  for (const part of [0.25, 0.5, 0.75, 1]) {
    const y = HEIGHT - 4 - part * (HEIGHT - 10);
    svg.append(s("path", { class: "grid", d: `M0 ${y}H${WIDTH}`, "vector-effect": "non-scaling-stroke" }));
  }
  svg.append(area, line, second, now);
  const figures = [h("b"), h("b"), h("b"), h("span")];
  const legend = h("div.legend", null,
    h("span", null, h("i"), "connections ", figures[0]),
    h("span", null, "new ", figures[1]),
    h("span", null, h("i.second"), "traffic ", figures[2]),
    figures[3]);
  const element = h("div.curve", null, svg, legend);
  let drawn = [];
  let pointed = null;
  let from = 0;
  let to = 1;

  function tell() {
    const sample = pointed ?? drawn.at(-1);
    say(figures[0], sample ? count(sample.connections) : "0");
    say(figures[1], sample ? `${rate(sample.opened)}/s` : "0/s");
    say(figures[2], sample ? `${bytes(traffic(sample))}/s` : "0 B/s");
    say(figures[3], pointed ? new Date(pointed.epoch_ms).toLocaleTimeString() : `last ${span((to - from) / 1000)}`);
    svg.setAttribute("aria-label",
      `${figures[0].textContent} connections, ${figures[1].textContent} new, ${figures[2].textContent}`);
  }
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = from + ((event.clientX - box.left) / box.width) * (to - from);
    pointed = drawn.reduce((best, sample) =>
      best && Math.abs(best.epoch_ms - at) <= Math.abs(sample.epoch_ms - at) ? best : sample, null);
    const x = pointed ? ((pointed.epoch_ms - from) / (to - from)) * WIDTH : 0;
    now.setAttribute("d", pointed ? `M${x.toFixed(1)} 0V${HEIGHT}` : "");
    tell();
  });
  svg.addEventListener("pointerleave", () => {
    pointed = null;
    now.setAttribute("d", "");
    tell();
  });

  element.show = (samples) => {
    to = samples.at(-1)?.epoch_ms ?? Date.now();
    drawn = samples.filter((sample) => sample.epoch_ms >= to - SPAN_MS);
    from = Math.min(drawn[0]?.epoch_ms ?? to, to - SHORTEST_MS);
    const draw = (value) => points(drawn, value, most(drawn, value), from, to);
    const connections = draw((sample) => sample.connections);
    const path = connections.length ? `M${connections.join("L")}` : "";
    line.setAttribute("d", path);
    const first = connections[0]?.split(" ")[0];
    area.setAttribute("d", path ? `${path}L${WIDTH} ${HEIGHT - 4}L${first} ${HEIGHT - 4}Z` : "");
    second.setAttribute("d", drawn.length ? `M${draw(traffic).join("L")}` : "");
    tell();
  };
  return element;
}

// A small curve of one figure: what the page itself has seen since it was opened.
export function spark() {
  const svg = s("svg", { viewBox: "0 0 96 26", "aria-hidden": "true" });
  const line = s("path", { class: "line" });
  svg.append(line);
  const element = h("div.spark", null, svg);
  const seen = [];
  element.show = (value) => {
    seen.push(value);
    if (seen.length > 48) seen.shift();
    const highest = Math.max(1, ...seen);
    const at = seen.map((one, index) => `${index * 2 + 1} ${(24 - (one / highest) * 22).toFixed(1)}`);
    line.setAttribute("d", at.length > 1 ? `M${at.join("L")}` : "");
  };
  return element;
}
