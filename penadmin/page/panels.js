// What is seen: each panel is made once and then shown the newest rows, so that focus and scrolling stay.
import { curve, spark } from "./curves.js";
import { bytes, count, h, keyed, rate, say, span } from "./dom.js";

const STATES = {
  up: "good", warming: "warn", full: "warn", avoid: "warn", draining: "warn", blacklisted: "bad", down: "bad",
};
export const serverName = (server) =>
  server.name ?? (server.address.startsWith("/") ? server.address : `${server.address}:${server.port}`);
export const special = (server) => ["abuse server", "emergency server"][server.index === -2 ? 0 : 1];
const place = (server) => (server.address.includes(":") ? `[${server.address}]:${server.port}`
  : server.address.startsWith("/") ? server.address : `${server.address}:${server.port}`);
const keyOf = (...parts) => parts.join("\n");

function cell(row, label, kind = "td", ...content) {
  const element = h(kind, { "data-label": label }, ...content);
  row.append(element);
  return element;
}

function table(caption, heads, folds = true) {
  const body = h("tbody");
  const head = heads.map(([text, numeric]) => h(numeric ? "th.number" : "th", { scope: "col" }, text || h("span.hidden-text", null, "Actions")));
  const element = h(folds ? "table.folds" : "table", null,
    h("caption.hidden-text", null, caption), h("thead", null, h("tr", null, head)), body);
  return [h("div.scroll", null, element), body];
}

function figures() {
  const make = (label) => [h("b", null, "–"), h("span", null, label)];
  const all = ["connections", "new per second", "traffic", "servers up"].map(make);
  const element = h("section.figures", { "aria-label": "All together" }, all.map((pair) => h("div.figure", null, pair)));
  element.show = (connections, opened, traffic, up, servers) => {
    say(all[0][0], count(connections));
    say(all[1][0], rate(opened));
    say(all[2][0], `${bytes(traffic)}/s`);
    say(all[3][0], `${up} of ${servers}`);
  };
  return element;
}

function serverRow(app) {
  const row = h("tr");
  const name = h("strong");
  const sub = h("span.sub");
  cell(row, null, "td.wide", name, sub);
  const chip = h("span.chip");
  const why = h("span.sub");
  cell(row, "State", "td", chip, why);
  const open = h("span");
  cell(row, "Connections", "td.number", open);
  const small = spark();
  cell(row, "Trend", "td", small);
  const weight = cell(row, "Weight", "td.number");
  const total = cell(row, "Total", "td.number");
  const failures = cell(row, "Failures", "td.number");
  const traffic = cell(row, "To / from", "td.number");
  const last = cell(row, null, "td.right");
  let current;
  const manage = h("button.plain.small", { type: "button", onclick: () => app.manage(current) }, "Manage");
  last.append(manage);
  row.show = (server) => {
    current = server;
    const label = server.index < 0 ? special(server) : serverName(server);
    say(name, label);
    const extra = [label === place(server) ? `server ${server.index}` : place(server)];
    if (server.role && server.role !== "member") extra.push(server.role);
    if (server.standby === true || server.standby === "yes") extra.push("standby");
    if (server.group) extra.push(`group ${server.group}`);
    if (server.check) extra.push(`check ${server.check}`);
    if (server.load !== undefined && server.load !== null) extra.push(`load ${server.load?.value ?? server.load}`);
    say(sub, extra.join(" · "));
    const state = server.state ?? (server.blacklisted_seconds > 0 ? "down" : "up");
    say(chip, state);
    chip.className = `chip ${STATES[state] ?? ""}`;
    const since = server.since ? `for ${span(Math.max(0, Date.now() / 1000 - server.since))}` : "";
    say(why, [server.reason, since, server.blacklisted_seconds > 0 ? `${span(server.blacklisted_seconds)} left` : ""].filter(Boolean).join(", "));
    say(open, server.max > 0 ? `${count(server.connections)} of ${count(server.max)}` : count(server.connections));
    say(weight, server.weight ?? "1");
    say(total, count(server.connections_total));
    say(failures, count(server.failures_total));
    say(traffic, `${bytes(server.sent_bytes)} / ${bytes(server.received_bytes)}`);
    manage.setAttribute("aria-label", `Manage ${label}`);
    last.hidden = !app.isFull() || server.index < 0;
    small.show(server.connections);
  };
  return row;
}

function serviceCard(app) {
  const title = h("h2");
  const kind = h("span.chip.accent");
  const sub = h("span.soft");
  let current;
  const add = h("button.plain.small.push", { type: "button", onclick: () => app.addServer(current) }, "Add server");
  const groups = h("div.groups", { hidden: true });
  const line = curve();
  const [scroll, body] = table("Servers", [["Server"], ["State"], ["Connections", true], ["Trend"], ["Weight", true],
    ["Total", true], ["Failures", true], ["To / from", true], [""]]);
  const element = h("section.card", null, h("header", null, title, kind, sub, add), line, groups, scroll);
  element.show = (service, servers, samples, own) => {
    current = service;
    say(title, app.manyPens() ? `${service.name} – ${app.penLabel(service.pen)}` : service.name);
    element.setAttribute("aria-label", `Service ${service.name}`);
    say(kind, service.kind);
    say(sub, service.listen.join(", "));
    add.hidden = !app.isFull();
    line.show(samples);
    groups.hidden = own.length === 0;
    keyed(groups, own, (group) => group.name, () => groupButton(app, () => current), (button, group) => button.show(group));
    keyed(body, servers.filter((server) => server.state !== "unset"), (server) => server.index,
      () => serverRow(app), (row, server) => row.show(server));
  };
  return element;
}

function groupButton(app, service) {
  let current;
  const button = h("button.plain.small", { type: "button", onclick: () => app.useGroup(service(), current) });
  button.show = (group) => {
    current = group;
    say(button, `${group.name}${group.in_use ? " · in use" : ""} · ${group.up} of ${group.servers} up`);
    button.setAttribute("aria-pressed", String(group.in_use));
    button.className = group.in_use ? "small" : "plain small";
    button.disabled = group.in_use || !app.isFull();
  };
  return button;
}

export function overview(app) {
  const all = figures();
  const troubles = h("div.stack");
  const cards = h("div.stack");
  const element = h("div.stack", null, h("h1.hidden-text", null, "Overview"), all, troubles, cards);
  element.show = () => {
    const { services, servers } = app.shown();
    const lasts = services.map((service) => app.samples(service).at(-1)).filter(Boolean);
    const sum = (value) => lasts.reduce((total, sample) => total + value(sample), 0);
    const regular = servers.filter((server) => server.index >= 0 && server.state !== "unset");
    all.show(services.reduce((total, service) => total + service.connections, 0), sum((sample) => sample.opened),
      sum((sample) => sample.up_bytes + sample.down_bytes),
      regular.filter((server) => (server.state ?? "up") === "up").length, regular.length);
    keyed(troubles, app.shownPens().filter((pen) => pen.trouble), (pen) => pen.pen, () => h("p.notice.bad"),
      (notice, pen) => say(notice, `${app.penLabel(pen.pen)}: ${pen.trouble}`));
    keyed(cards, services, (service) => keyOf(service.pen, service.name), () => serviceCard(app), (card, service) => {
      const own = (row) => row.pen === service.pen && row.service === service.name;
      card.show(service, servers.filter(own), app.samples(service), app.groups().filter(own));
    });
  };
  return element;
}

// A panel of rows that pen is asked for while somebody looks.
function listing(app, title, path, heads, fill) {
  const total = h("span.soft");
  const [scroll, body] = table(title, heads);
  const none = h("p.soft", null, "None.");
  const element = h("section.card", null, h("header", null, h("h1", null, title), total), none, scroll);
  element.fetch = () => app.fetchRows(path);
  element.show = () => {
    const { rows, all } = app.rows(path);
    say(total, all > rows.length ? `the newest ${count(rows.length)} of ${count(all)}` : count(all));
    none.hidden = rows.length > 0;
    scroll.hidden = rows.length === 0;
    keyed(body, rows, (row) => keyOf(row.pen, row.service, row.number ?? row.slot ?? JSON.stringify(row)),
      (row) => fill.create(row), (element, row) => element.show(row));
  };
  return element;
}

function cells(...labels) {
  const row = h("tr");
  const made = labels.map(([label, kind]) => cell(row, label, kind ?? "td"));
  return [row, made];
}

const nameOfServer = (app, row) => {
  const server = app.server(row.pen, row.service, row.server);
  return server ? serverName(server) : row.server_address ?? (row.server < 0 ? "none" : `server ${row.server}`);
};

export function connections(app) {
  return listing(app, "Connections", "connections",
    [["Client"], ["Service"], ["Server"], ["Sent", true], ["Received", true], ["Age", true], ["Idle", true], [""]], {
      create: () => {
        const [row, made] = cells(["Client", "td.mono"], ["Service"], ["Server"], ["Sent", "td.number"],
          ["Received", "td.number"], ["Age", "td.number"], ["Idle", "td.number"], [null, "td.right"]);
        let current;
        const close = h("button.plain.small", { type: "button", onclick: () => app.command(current.pen, current.service, `close ${current.number}`) }, "Close");
        made[7].append(close);
        row.show = (one) => {
          current = one;
          say(made[0], one.client);
          say(made[1], one.service);
          say(made[2], nameOfServer(app, one));
          say(made[3], bytes(one.up_bytes));
          say(made[4], bytes(one.down_bytes));
          say(made[5], span(one.age_seconds));
          say(made[6], span(one.idle_seconds));
          close.setAttribute("aria-label", `Close the connection of ${one.client}`);
          made[7].hidden = !app.isFull();
        };
        return row;
      },
    });
}

export function clients(app) {
  return listing(app, "Clients", "clients",
    [["Client"], ["Service"], ["Server"], ["Connects", true], ["Sent", true], ["Received", true], ["Last connect", true]], {
      create: () => {
        const [row, made] = cells(["Client", "td.mono"], ["Service"], ["Server"], ["Connects", "td.number"],
          ["Sent", "td.number"], ["Received", "td.number"], ["Last connect", "td.number"]);
        row.show = (one) => {
          say(made[0], one.address || "local");
          say(made[1], one.service);
          say(made[2], nameOfServer(app, one));
          say(made[3], count(one.connects));
          say(made[4], bytes(one.sent_bytes));
          say(made[5], bytes(one.received_bytes));
          say(made[6], `${span(one.age_seconds)} ago`);
        };
        return row;
      },
    });
}

const milliseconds = (figures, name) =>
  Number.isFinite(figures?.[name]) ? `${rate(figures[name] / 1000)} ms` : "–";
const inWords = (counts) =>
  Object.entries(counts ?? {}).map(([word, number]) => `${word.replaceAll("_", " ")} ${count(number)}`).join(", ") || "–";
const COMPARED = [
  ["Connections", (side) => count(side.connections)],
  ["Sent to it", (side) => bytes(side.sent_bytes)],
  ["Answered", (side) => bytes(side.received_bytes)],
  ["First byte, median", (side) => milliseconds(side.first_byte, "median_us")],
  ["First byte, 99 %", (side) => milliseconds(side.first_byte, "p99_us")],
  ["Duration, median", (side) => milliseconds(side.duration, "median_us")],
  ["Duration, 99 %", (side) => milliseconds(side.duration, "p99_us")],
  ["Ended", (side) => inWords(side.ends)],
];

// Members and clones of one service, side by side, and how their answers differ.
function comparison() {
  const [title, state, answers] = [h("h1"), h("span.soft"), h("p.soft")];
  const [figures, body] = table("Member and clone", [[""], ["Member", true], ["Clone", true]], false);
  const [scroll, differences] = table("Differences", [["Difference"], ["Times", true], ["Asked"], ["Member"], ["Clone"]]);
  figures.classList.add("narrow");
  const sides = COMPARED.map(([label, figure]) => {
    const row = h("tr", null, h("th", { scope: "row" }, label));
    const [member, clone] = [cell(row, "Member", "td.number"), cell(row, "Clone", "td.number")];
    body.append(row);
    return (one) => (say(member, figure(one.member)), say(clone, figure(one.clone)));
  });
  const element = h("section.card.stack", null, h("header", null, title, state), figures, answers, scroll);
  element.show = (one, name) => {
    say(title, name);
    say(state, `${one.state} · ${one.percent} % of connections`);
    sides.forEach((show) => show(one));
    say(answers, one.compared ? `${count(one.same)} of ${count(one.compared)} answers were the same.` : "No answers were compared yet.");
    scroll.hidden = one.differences.length === 0;
    keyed(differences, one.differences, (each) => each.kind, () => {
      const [row, made] = cells(["Difference"], ["Times", "td.number"], ["Asked", "td.mono"], ["Member", "td.mono"], ["Clone", "td.mono"]);
      row.show = ({ kind, count: times, example }) => {
        const at = example?.line ? `, line ${count(example.line)}` : "";
        [`${kind.replaceAll("_", " ")}${at}`, count(times), example?.asked, example?.member, example?.clone]
          .forEach((text, place) => say(made[place], text ?? "–"));
      };
      return row;
    }, (row, each) => row.show(each));
  };
  return element;
}

export function clones(app) {
  const none = h("section.card", null, h("p.soft", null, "No service has a clone: server N role clone makes one."));
  const all = h("div.stack");
  const element = h("div", null, none, all);
  element.fetch = () => app.fetchRows("clones");
  element.show = () => {
    const { rows } = app.rows("clones");
    none.hidden = rows.length > 0;
    const several = new Set(rows.map((row) => row.pen)).size > 1;
    keyed(all, rows, (row) => keyOf(row.pen, row.service), comparison,
      (card, row) => card.show(row, several ? `${row.service} of ${row.pen}` : row.service));
  };
  return element;
}

export function terminal(app) {
  const said = h("pre.said", { tabindex: "0", "aria-label": "Answers", role: "log" });
  const input = h("input.mono", { autocomplete: "off", spellcheck: "false", autocapitalize: "off", required: true, placeholder: "servers" });
  const past = [];
  let at = 0;
  const form = h("form.field", {
    onsubmit: async (event) => {
      event.preventDefault();
      const line = input.value.trim();
      if (!line) return;
      past.push(line);
      at = past.length;
      input.value = "";
      said.append(h("span.asked", null, `> ${line}\n`));
      const [reply, error] = await app.ask(app.onePen(), line);
      said.append(error ? h("span.failed", null, `${error}\n`) : reply.endsWith("\n") || !reply ? reply : `${reply}\n`);
      while (said.childNodes.length > 400) said.firstChild.remove();
      said.scrollTop = said.scrollHeight;
    },
  }, h("label", null, "Command", input), h("button", null, "Send"));
  input.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    at = Math.max(0, Math.min(past.length, at + step));
    input.value = past[at] ?? "";
  });
  const which = h("p.notice.warn", null, "Choose one pen above: commands go to one.");
  const element = h("section.card.stack", null, h("h1", null, "Console"), which, said, form,
    h("p.soft", null, "Any command of pen; help lists them. Arrow keys bring back what was said before."));
  element.show = () => {
    which.hidden = Boolean(app.onePen());
    form.hidden = !app.onePen();
  };
  return element;
}

export function settings(app) {
  const text = h("textarea", { spellcheck: "false", "aria-label": "Settings" });
  const preview = h("pre.diff", { tabindex: "0", "aria-label": "Commands that would be carried out", hidden: true });
  const file = h("input", { type: "file", "aria-label": "Take the text from a file" });
  const button = (label, kind, work) => h(kind, { type: "button", onclick: work }, label);
  let pen = null;
  let previewed = null;
  const apply = button("Apply", "button", async () => {
    const [reply, error] = await app.compare(pen, previewed, true);
    if (!error) {
      app.toast(reply.trim() || "Applied.");
      load();
    }
  });
  const fresh = () => {
    apply.disabled = true;
    preview.hidden = true;
    previewed = null;
  };
  const look = button("Preview", "button.plain", async () => {
    const wanted = text.value;
    const [reply, error] = await app.compare(pen, wanted, false);
    if (error) return fresh();
    preview.hidden = false;
    say(preview, reply.trim() || "No differences.");
    previewed = wanted;
    apply.disabled = !reply.trim() || text.value !== wanted;
  });
  const save = button("Write to file", "button.plain", () => app.command(pen, null, "write"));
  async function load() {
    fresh();
    const asked = pen;
    const [reply] = await app.settings(asked);
    if (asked === pen) text.value = reply ?? "";
  }
  text.addEventListener("input", fresh);
  file.addEventListener("change", async () => {
    if (!file.files[0]) return;
    text.value = await file.files[0].text();
    file.value = "";
    fresh();
  });
  const which = h("p.notice.warn", null, "Choose one pen above: settings belong to one.");
  const old = h("p.notice", null, "This pen knows neither diff nor apply: settings can be read here and changed in the console.");
  const parts = h("div.stack", null, text, h("label", null, "Or take the text from a file", file),
    h("div.bar", null, look, apply, button("Load again", "button.plain", load), save), preview);
  const element = h("section.card.stack", null, h("h1", null, "Settings"),
    h("p.soft", null, "What pen would write into its configuration file. Edit it, look at the commands that lead there, then apply them: all or none."),
    which, old, parts);
  element.show = () => {
    const now = app.onePen();
    which.hidden = Boolean(now);
    parts.hidden = !now;
    const knows = app.knows(now, "diff") && app.knows(now, "apply");
    old.hidden = !now || knows;
    for (const one of [look, apply]) one.hidden = !knows;
    if (now !== pen) {
      pen = now;
      text.value = "";
      if (pen) load();
    }
  };
  return element;
}
