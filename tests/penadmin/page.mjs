// The page in a real browser: node page.mjs MODULES URL [SCREENSHOTS]. Says what is wrong and ends with status 1.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, url, screenshots] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const PASSWORD = "open sesame";
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const DESK = { viewport: { width: 1280, height: 900 } };
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });

// A visitor of their own: what the browser complains about is a failure, but for the answers that a test provokes.
async function visit(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(20000);
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(error.stack));
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of (400|401|403)/.test(message.text())) page.complaints.push(message.text());
  });
  await page.goto(url);
  await page.getByRole("heading", { name: "Log in to pen" }).waitFor();
  return page;
}

async function login(page, name, password = PASSWORD) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
}

async function enter(name, options) {
  const page = await visit(options);
  await login(page, name);
  await page.getByRole("heading", { name: /^web/ }).waitFor();
  return page;
}

// What axe-core finds serious.
async function inspect(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const bad = violations.filter((one) => ["serious", "critical"].includes(one.impact));
  const told = bad.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join("\n  ")}`);
  assert.deepEqual(told, [], where);
}

async function fits(page, where) {
  const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= room, `${where}: ${wide} pixels wide, ${room} are there`);
}

async function picture(page, name) {
  if (screenshots) await page.screenshot({ path: `${screenshots}/${name}.png` });
}

async function leave(page) {
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}

const row = (page, name) => page.getByRole("row").filter({ hasText: name });
const shows = (locator, text) => locator.filter({ hasText: text }).first().waitFor();
const view = (page, name) => page.getByRole("navigation", { name: "Views" }).getByRole("link", { name });

const choose = (page, pen) =>
  page.getByRole("navigation", { name: "Pens" }).getByRole("button", { name: pen }).click();

async function administrator() {
  const page = await visit({ ...DESK, colorScheme: "light" });
  await inspect(page, "login");
  await login(page, "anna", "wrong");
  await shows(page.getByRole("alert"), "wrong name or password");
  await login(page, "anna");
  await shows(row(page, "web1"), "up");
  await inspect(page, "overview in light");
  await picture(page, "overview");

  // By keyboard alone: open, leave, open again, set.
  const manage = page.getByRole("button", { name: "Manage web1" });
  await manage.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "web1" }).waitFor();
  await inspect(page, "dialog");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  assert.ok(await manage.evaluate((element) => element === document.activeElement), "focus returns");
  await page.keyboard.press("Enter");
  await picture(page, "manage");
  await page.getByLabel("Weight", { exact: true }).fill("2.5");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await shows(row(page, "web1").locator("[data-label=Weight]"), "2.5");

  // What is wrong is said, and the dialog stays.
  await manage.click();
  await page.getByLabel("Weight", { exact: true }).fill("x");
  await page.keyboard.press("Enter");
  await shows(page.getByRole("status"), "weight: want");
  await page.getByRole("button", { name: "Disable" }).click();
  await shows(row(page, "web1"), "disabled");
  await manage.click();
  await page.getByRole("button", { name: "Enable" }).click();
  await shows(row(page, "web1"), "up");

  await page.getByRole("region", { name: "Service web" }).getByRole("button", { name: "Add server" }).click();
  await page.getByLabel("Address").fill("127.0.0.1:9");
  await page.getByLabel("Name (may be empty)").fill("web9");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await row(page, "web9").waitFor();
  await page.getByRole("button", { name: "Manage web9" }).click();
  await page.getByRole("button", { name: "Remove…", exact: true }).click();
  await page.getByRole("button", { name: "Remove", exact: true }).click();
  await row(page, "web9").waitFor({ state: "detached" });

  const green = page.getByRole("button", { name: /^green/ });
  await green.click();
  await page.getByRole("button", { name: "Use it" }).click();
  await shows(green, "in use");

  await view(page, "Connections").click();
  await shows(page.getByRole("table", { name: "Connections" }), "127.0.0.1:");
  await inspect(page, "connections");
  await picture(page, "connections");
  await page.getByRole("button", { name: /^Close the connection/ }).first().click();
  await page.getByText("None.").waitFor();
  await view(page, "Clients").click();
  await shows(page.getByRole("table", { name: "Clients" }), "127.0.0.1");
  await inspect(page, "clients");

  await choose(page, "shop");
  await view(page, "Settings").click();
  const text = page.getByRole("textbox", { name: "Settings" });
  await page.waitForFunction(() => document.querySelector("textarea").value.includes("blacklist 30"));
  await inspect(page, "settings");
  if (await page.getByRole("button", { name: "Preview" }).isVisible()) {
    const apply = page.getByRole("button", { name: "Apply" });
    assert.ok(await apply.isDisabled(), "nothing is applied unseen");
    await text.fill((await text.inputValue()).replaceAll("blacklist 30", "blacklist 44"));
    await page.getByRole("button", { name: "Preview" }).click();
    await shows(page.locator("pre.diff"), "blacklist 44");
    await picture(page, "settings");
    await apply.click();
    await shows(page.getByRole("status"), /.+/);
    await page.waitForFunction(() => document.querySelector("pre.diff").hidden);
  }

  await view(page, "Console").click();
  await page.getByLabel("Command").fill("service web blacklist");
  await page.keyboard.press("Enter");
  await shows(page.getByRole("log"), /^> service web blacklist\n\d+\n$/);
  await inspect(page, "console");

  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in to pen" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "Log in to pen" }).waitFor();
  await leave(page);
}

async function spectator() {
  const page = await enter("rob", { ...DESK, colorScheme: "dark", reducedMotion: "reduce" });
  await inspect(page, "overview in dark");
  await picture(page, "overview-dark");
  assert.equal(await page.getByRole("button", { name: /Manage|Add server/ }).count(), 0);
  assert.equal(await view(page, "Settings").count(), 0);
  await page.getByRole("button", { name: "Change colours" }).click();
  assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), "light");
  await choose(page, "shop");
  await view(page, "Console").click();
  await page.getByLabel("Command").fill("service web server web1 disable");
  await page.keyboard.press("Enter");
  await shows(page.getByRole("log"), "may only look");
  const moves = await page.evaluate(() => {
    const toast = document.createElement("div");
    toast.className = "toast";
    document.body.append(toast);
    return getComputedStyle(toast).animationName;
  });
  assert.equal(moves, "none", "with prefers-reduced-motion");
  await leave(page);
}

async function phone() {
  const page = await enter("anna", { ...PHONE, colorScheme: "light" });
  await fits(page, "overview");
  await inspect(page, "overview on a phone");
  await picture(page, "phone");
  await page.getByRole("button", { name: "Manage web1" }).tap();
  await page.getByRole("dialog", { name: "web1" }).waitFor();
  await fits(page, "dialog");
  await page.getByRole("button", { name: "Close", exact: true }).tap();
  for (const name of ["Connections", "Clients", "Settings", "Console"]) {
    await view(page, name).tap();
    await page.getByRole("heading", { name }).waitFor();
    await fits(page, name);
  }
  await leave(page);
}

// What a hostile server or pen has for names is text.
async function hostile() {
  const page = await enter("anna", DESK);
  await page.getByText("<img src=x onerror=alert(1)>").first().waitFor();
  assert.equal(await page.locator("main img").count(), 0);
  await leave(page);
}

try {
  await administrator();
  await Promise.all([spectator(), phone(), hostile()]);
} catch (error) {
  console.error(error.stack);
  process.exitCode = 1;
} finally {
  await browser.close();
}
