// The page: who is logged in, what was last heard, which panel is shown. All text reaches the page through dom.js.
import { SPAN_MS } from "./curves.js";
import * as dialogs from "./dialogs.js";
import { h, keyed, say, toast } from "./dom.js";
import * as panels from "./panels.js";

const POLL_MS = 2000;
const main = document.getElementById("main");
const top = document.getElementById("top");
const penBar = document.getElementById("pens");
const viewBar = document.getElementById("views");

let session = null;
let heard = { pens: [], services: [], servers: [], groups: [] };
let lists = new Map();
let curves = new Map();
let pen = null;
let panel = null;
let touched = true;
let timer = null;

for (const event of ["pointerdown", "keydown"]) addEventListener(event, () => (touched = true), { passive: true });

// Talks to the API; throws what is wrong, with its status.
async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  if (session) headers["X-CSRF-Token"] = session.csrf;
  let response;
  try {
    response = await fetch(path, { ...options, headers, body: options.body && JSON.stringify(options.body) });
  } catch {
    throw Object.assign(new Error("penadmin does not answer"), { status: 0 });
  }
  const content = response.status === 304 ? {} : await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(content.error ?? `error ${response.status}`), { status: response.status });
  return options.whole ? { content, all: Number(response.headers.get("X-Total-Count") ?? content.length) } : content;
}

// A page that only watches does not keep its session from ending.
const poll = (path, options = {}) => call(path, { ...options, headers: touched ? {} : { "X-Pen-Poll": "1" } });

async function attempt(work) {
  try {
    return [await work(), null];
  } catch (error) {
    if (error.status === 401) leave();
    return [null, error.message];
  }
}

const app = {
  toast,
  isFull: () => session?.access === "full",
  manyPens: () => heard.pens.length > 1 && pen === null,
  onePen: () => pen ?? (heard.pens.length === 1 ? heard.pens[0].pen : null),
  // Of /run/shop/control the folder says which pen it is.
  penLabel(name) {
    const short = (path) => path.split("/").filter((part) => part && part !== "control").at(-1) ?? path;
    const twins = heard.pens.filter((one) => short(one.pen) === short(name));
    return name.startsWith("/") && twins.length < 2 ? short(name) : name;
  },
  knows: (name, command) => Boolean(heard.pens.find((one) => one.pen === name)?.commands.includes(command)),
  shownPens: () => heard.pens.filter((one) => pen === null || one.pen === pen),
  shown: () => ({
    services: heard.services.filter((row) => pen === null || row.pen === pen),
    servers: heard.servers.filter((row) => pen === null || row.pen === pen),
  }),
  groups: () => heard.groups,
  samples: (service) => curves.get(`${service.pen}\n${service.name}`) ?? [],
  server: (one, service, index) =>
    heard.servers.find((row) => row.pen === one && row.service === service && row.index === index),
  rows: (path) => lists.get(path) ?? { rows: [], all: 0 },
  async fetchRows(path) {
    const query = pen === null ? "" : `?pen=${encodeURIComponent(pen)}`;
    const { content, all } = await poll(`/api/${path}${query}`, { whole: true });
    lists.set(path, { rows: content, all });
  },
  ask: (one, line) =>
    attempt(async () => (await call("/api/command", { method: "POST", body: { pen: one, line } })).reply),
  async command(one, service, line) {
    const [reply, error] = await app.ask(one, service ? `service ${service} ${line}` : line);
    toast(error ?? (reply.trim() || "Done."), error !== null);
    refresh();
    return error === null;
  },
  async settings(one) {
    const asked = await attempt(async () => (await call(`/api/settings?pen=${encodeURIComponent(one)}`)).reply);
    if (asked[1]) toast(asked[1], true);
    return asked;
  },
  async compare(one, text, apply) {
    const body = { pen: one, text, apply };
    const asked = await attempt(async () => (await call("/api/settings", { method: "POST", body })).reply);
    if (asked[1]) toast(asked[1], true);
    return asked;
  },
  manage: (server) => dialogs.manage(app, server),
  addServer: (service) => dialogs.addServer(app, service),
  useGroup: (service, group) => dialogs.useGroup(app, service, group),
};

const VIEWS = [
  { name: "overview", label: "Overview", make: panels.overview },
  { name: "connections", label: "Connections", make: panels.connections },
  { name: "clients", label: "Clients", make: panels.clients },
  { name: "clones", label: "Clones", make: panels.clones, when: () => heard.pens.some((one) => one.commands.includes("clones")) },
  { name: "settings", label: "Settings", make: panels.settings, when: () => app.isFull() },
  { name: "console", label: "Console", make: panels.terminal },
];

const current = () => VIEWS.find((view) => `#${view.name}` === location.hash && (view.when?.() ?? true)) ?? VIEWS[0];

function show() {
  const view = current();
  if (panel?.view !== view) {
    panel = view.make(app);
    panel.view = view;
    main.replaceChildren(panel);
    document.title = `${view.label} – pen`;
    if (panel.fetch) refresh();
  }
  keyed(viewBar, VIEWS.filter((one) => one.when?.() ?? true), (one) => one.name,
    (one) => h("a", { href: `#${one.name}` }, one.label),
    (link, one) => (one === view ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")));
  penBar.hidden = heard.pens.length < 2;
  const all = { pen: null, trouble: null };
  keyed(penBar, heard.pens.length < 2 ? [] : [all, ...heard.pens], (one) => one.pen ?? "",
    (one) => h("button", { type: "button", onclick: () => { pen = one.pen; lists = new Map(); show(); refresh(); } },
      one.pen === null ? null : h("span.dot", { "aria-hidden": "true" }),
      h("span", null, one.pen === null ? "All pens" : app.penLabel(one.pen)), h("span.hidden-text")),
    (button, one) => {
      button.setAttribute("aria-pressed", String(pen === one.pen));
      if (one.pen === null) return;
      button.title = one.pen;
      button.querySelector(".dot").classList.toggle("bad", Boolean(one.trouble));
      say(button.lastChild, one.trouble ? " does not answer" : "");
    });
  panel.show();
}

async function hear() {
  const since = Math.max(0, ...[...curves.values()].map((samples) => samples.at(-1)?.epoch_ms ?? 0));
  const [pens, services, servers, history] = await Promise.all(
    ["pens", "services", "servers", `history?since=${since}`].map((path) => poll(`/api/${path}`)));
  const groups = pens.some((one) => one.commands.includes("groups")) ? await poll("/api/groups") : [];
  heard = { pens, services, servers, groups };
  const alive = new Set(services.map((service) => `${service.pen}\n${service.name}`));
  for (const key of curves.keys()) if (!alive.has(key)) curves.delete(key);
  for (const row of history) {
    const key = `${row.pen}\n${row.service}`;
    const known = curves.get(key) ?? [];
    const last = known.at(-1)?.epoch_ms ?? 0;
    const joined = known.concat(row.samples.filter((sample) => sample.epoch_ms > last));
    curves.set(key, joined.filter((sample) => sample.epoch_ms > joined.at(-1).epoch_ms - SPAN_MS - 10000));
  }
  await panel?.fetch?.();
  touched = false;
}

let hearing = false;
async function refresh() {
  clearTimeout(timer);
  if (!session || hearing) return;
  hearing = true;
  const [, error] = await attempt(hear);
  hearing = false;
  if (!session) return;
  document.body.classList.toggle("stale", Boolean(error));
  if (error && error !== refresh.said) toast(error, true);
  refresh.said = error;
  show();
  if (!document.hidden) timer = setTimeout(refresh, POLL_MS);
}

function enter(found) {
  session = found;
  top.hidden = false;
  say(document.getElementById("who"), `${found.name} · ${found.access}`);
  panel = null;
  main.replaceChildren();
  refresh().then(() => main.focus({ preventScroll: true }));
}

function leave() {
  session = null;
  clearTimeout(timer);
  top.hidden = true;
  penBar.hidden = true;
  heard = { pens: [], services: [], servers: [], groups: [] };
  lists = new Map();
  curves = new Map();
  panel = null;
  document.getElementById("dialog").close();
  document.title = "Log in – pen";
  const name = h("input", { autocomplete: "username", required: true, autocapitalize: "off", spellcheck: "false" });
  const password = h("input", { type: "password", autocomplete: "current-password", required: true });
  const wrong = h("p.notice.bad", { role: "alert", hidden: true });
  const button = h("button", null, "Log in");
  const form = h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      const body = { name: name.value, password: password.value };
      try {
        const login = await call("/api/login", { method: "POST", body });
        enter({ name: name.value, ...login });
      } catch (error) {
        wrong.hidden = false;
        say(wrong, error.message);
        password.value = "";
        password.focus();
      }
      button.disabled = false;
    },
  }, h("label", null, "Name", name), h("label", null, "Password", password), wrong, button);
  const mark = h("img", { src: "/icon.svg", alt: "", width: "44", height: "44" });
  main.replaceChildren(h("section.card.login", null, mark, h("h1", null, "Log in to pen"), form));
  name.focus();
}

const theme = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  localStorage.setItem("theme", document.documentElement.dataset.theme);
});
const kept = localStorage.getItem("theme");
if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;

document.getElementById("logout").addEventListener("click", async () => {
  await attempt(() => call("/api/logout", { method: "POST" }));
  leave();
});
addEventListener("hashchange", () => session && show());
document.addEventListener("visibilitychange", () => document.hidden || refresh());

const [found, error] = await attempt(() => call("/api/session"));
if (found) enter(found);
else if (error !== "log in first") toast(error, true);
