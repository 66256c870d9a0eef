// What is done: dialogs that become commands of pen.
import { h, word } from "./dom.js";
import { serverName } from "./panels.js";

const dialog = document.getElementById("dialog");

function open(title, ...content) {
  const close = h("button.quiet.close", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "✕");
  dialog.replaceChildren(h("h2", { id: "dialog-title" }, title), close, h("div.stack", null, ...content));
  if (!dialog.open) dialog.showModal();
}

// Asks once more before something that cannot be taken back.
function sure(title, text, label, work) {
  open(title, h("p", null, text), h("div.row", null,
    h("button.danger", { type: "button", onclick: async () => { if (await work()) dialog.close(); } }, label),
    h("button.plain", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Cancel")));
}

export function manage(app, server) {
  const name = serverName(server);
  const which = `server ${word(server.name ?? String(server.index))}`;
  const command = (words) => app.command(server.pen, server.service, `${which} ${words}`);
  const done = async (words) => {
    if (await command(words)) dialog.close();
  };
  const button = (label, words, kind = "button.plain") => h(kind, { type: "button", onclick: () => done(words) }, label);
  const field = (label, value, attributes, words, act = "Set") => {
    const input = h("input", { value: String(value), required: true, ...attributes });
    return h("form.field", { onsubmit: (event) => { event.preventDefault(); done(words(input.value)); } },
      h("label", null, label, input), h("button.plain", null, act));
  };
  const isAway = ["disabled", "draining", "blacklisted"].includes(server.state);
  open(name,
    h("p.soft", null, `${server.service}, server ${server.index}: ${server.state ?? "up"}${server.reason ? `, ${server.reason}` : ""}`),
    h("div.row", null,
      button("Enable", "enable", isAway ? "button" : "button.plain"),
      button("Drain", "drain"), button("Disable", "disable"), button("Reset", "reset")),
    field("Drain, and cut what is left after seconds", 30, { type: "number", min: "1" }, (value) => `drain ${value}`, "Drain"),
    field("Weight", server.weight ?? 1, { inputmode: "decimal" }, (value) => `weight ${value}`),
    field("Most connections (0: no limit)", server.max, { type: "number", min: "0" }, (value) => `max ${value}`),
    field("Blacklist for seconds", 60, { type: "number", min: "0" }, (value) => `blacklist ${value}`, "Blacklist"),
    h("div.row", null,
      h("button.danger", { type: "button", onclick: () => sure(`Remove ${name}?`,
        "It gets no more clients; its connections end on their own.", "Remove", () => command("remove")) }, "Remove…"),
      h("button.danger", { type: "button", onclick: () => sure(`Remove ${name} now?`,
        `Its ${server.connections} connections are cut.`, "Remove now", () => command("remove now")) }, "Remove now…")));
}

export function addServer(app, service) {
  const address = h("input", { required: true, placeholder: "10.0.0.7:8080", autocomplete: "off", spellcheck: "false" });
  const name = h("input", { placeholder: "web7", autocomplete: "off", spellcheck: "false" });
  const weight = h("input", { inputmode: "decimal", placeholder: "1" });
  open(`Add a server to ${service.name}`, h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      const target = `${name.value.trim() ? `${name.value.trim()}=` : ""}${address.value.trim()}`;
      const more = weight.value.trim() ? ` weight ${word(weight.value.trim())}` : "";
      if (await app.command(service.pen, service.name, `server add ${word(target)}${more}`)) dialog.close();
    },
  }, h("label", null, "Address", address), h("label", null, "Name (may be empty)", name),
    h("label", null, "Weight (may be empty)", weight), h("div.row", null, h("button", null, "Add"))));
}

export function useGroup(app, service, group) {
  sure(`Use group ${group.name}?`,
    `New clients of ${service.name} go to ${group.name}, also those of the group before; connections there end on their own.`,
    "Use it", () => app.command(service.pen, service.name, `group ${word(group.name)} use`));
}
