// Starts the processes that the tests of the page need, and ends them: coordinators, demos, watchers
// and browsers. Each function registers the end of what it has started with the test.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const bin = (name) => join(here, "../../bin", name);

/** The folder for screenshots. The tests compare nothing in it: people look at it. */
export const shots = process.env.MESHHEALTH_SHOTS ?? join(here, "../../bin/shots");

/** Returns a folder that is removed after the test. */
export const folder = async (t) => {
  const path = await mkdtemp(join(tmpdir(), "meshhealth-ui-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
};

/** Ends a process with SIGTERM, also if it is stopped, and waits for its end. */
const end = async (child) => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGCONT");
  child.kill("SIGTERM");
  await ended;
};

/** Starts a program. Its stderr is printed only if it fails before it is ready. */
const start = (t, file, args, options = {}) => {
  const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], ...options });
  child.errors = "";
  child.stderr.on("data", (b) => { child.errors = (child.errors + b).slice(-64 << 10); });
  child.stdin.on("error", () => {});
  t.after(() => end(child));
  return child;
};

/** Calls `on` for each line, and returns the first value that is not undefined. */
const firstLine = (child, on) => new Promise((resolve, reject) => {
  const lines = createInterface({ input: child.stdout, crlfDelay: Infinity });
  lines.on("line", (line) => {
    const value = on(line);
    if (value !== undefined) resolve(value);
  });
  child.on("exit", (code) => reject(new Error(`${child.spawnfile} has ended with ${code}: ${child.errors}`)));
});

/**
 * Starts a coordinator whose instances push what the test says (coordinator/pagerig_test.go).
 * Settings: listen, http, dataDir, guardMin, unreachableAfter and amnesty (seconds), damping.
 */
export const startRig = async (t, settings = {}) => {
  const child = start(t, bin("pagerig.test"), ["-test.run=^TestPageRig$", "-test.timeout=0"], {
    env: { ...process.env, MESHHEALTH_PAGE_RIG: JSON.stringify({ listen: "127.0.0.1:0", http: "127.0.0.1:0", ...settings }) },
  });
  const waiting = [];
  const at = await firstLine(child, (line) => {
    if (!line.startsWith("rig ")) return undefined;
    const answer = JSON.parse(line.slice(4));
    waiting.shift()?.(answer);
    return answer;
  });
  const send = (command) => new Promise((resolve, reject) => {
    waiting.push((answer) => (answer.error === undefined ? resolve(answer) : reject(new Error(answer.error))));
    child.stdin.write(JSON.stringify(command) + "\n");
  });
  return {
    ...at, ui: at.http + "/ui", child, pid: child.pid,
    register: (registrations) => send({ do: "register", registrations }),
    report: (names, status, more = {}) => send({ do: "report", names, report: { status: `STATUS_${status}`, ...more } }),
    cutPath: (names = []) => send({ do: "path", names }),
    /** An answer that cannot be read makes an instance unconfirmed, and a wrong configuration makes it UNKNOWN. */
    malformed: (names) => send({ do: "malformed", names }),
    misconfigure: (names) => send({ do: "config", names }),
    flip: (rate, seconds) => send({ do: "flip", rate, seconds }),
    depend: (dependsOn) => send({ do: "depend", dependsOn }),
    override: (name, author, reason) => send({ do: "override", override: { name, status: "STATUS_MAINTENANCE", author, reason, ttl: "3600s" } }),
    stop: () => end(child),
  };
};

/** Registrations of services × instances, in three zones and with labels. */
export const registrations = (services, instances) =>
  Array.from({ length: services * instances }, (_, n) => ({
    service: `svc-${String(Math.floor(n / instances)).padStart(4, "0")}`, instance: `i-${n % instances}`,
    zone: `eu-${1 + (n % 3)}`, version: n % 10 === 0 ? "1.4.3" : "1.4.2", labels: { team: ["core", "web", "data", "edge"][n % 4] },
  }));

/** Starts `meshhealth demo` and returns the address of the page and of gRPC. */
export const startDemo = async (t, ...args) => {
  const child = start(t, bin("meshhealth"), ["demo", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", ...args]);
  const lines = [];
  const ui = await firstLine(child, (line) => {
    lines.push(line);
    return /^page\s+(http\S+)/.exec(line)?.[1];
  });
  return { ui, child, lines, pid: child.pid, stop: () => end(child) };
};

/** Starts `meshhealth coordinator`. */
export const startCoordinator = async (t, args, at) => {
  const child = start(t, bin("meshhealth"), ["coordinator", "--http", at.http, "--listen", at.grpc, ...args]);
  return { child, pid: child.pid, stop: () => end(child), kill: async () => { const ended = once(child, "exit"); child.kill("SIGKILL"); await ended; } };
};

/**
 * Runs `meshhealth chaos -o json` to its end. `said` is called with the scenario and the text of each line of progress.
 * The result resolves with one verdict for each scenario.
 */
export const runChaos = (t, args, said) => {
  const child = start(t, bin("meshhealth"), ["chaos", "-o", "json", ...args]);
  const verdicts = [];
  createInterface({ input: child.stdout, crlfDelay: Infinity }).on("line", (line) => verdicts.push(JSON.parse(line)));
  createInterface({ input: child.stderr, crlfDelay: Infinity }).on("line", (line) => {
    const [, scenario, text] = /^(\w+): (.*)$/.exec(line) ?? [];
    if (scenario !== undefined) said(scenario, text);
  });
  return new Promise((resolve, reject) => {
    child.on("close", (code) => (code === 0 || code === 2 ? resolve(verdicts) : reject(new Error(`chaos has ended with ${code}: ${child.errors}`))));
  });
};

/**
 * Follows a coordinator with `meshhealth watch -o json`, beside the page: name → the entry as proto JSON. `heard` is
 * called with each entry and its name.
 */
export const startOracle = async (t, grpc, heard = () => {}) => {
  const child = start(t, bin("meshhealth"), ["watch", "-o", "json", "--coordinator", grpc]);
  const entries = new Map();
  createInterface({ input: child.stdout, crlfDelay: Infinity }).on("line", (line) => {
    const h = JSON.parse(line);
    const name = (h.service ?? "") + (h.instance ? `/${h.instance}` : "");
    if (h.removed) entries.delete(name);
    else entries.set(name, h);
    heard(name, h);
  });
  return { entries, child, stop: () => end(child) };
};

const executable = (name) => {
  const path = process.env[name.toUpperCase().replace("-", "_")] ?? `/usr/bin/${name}`;
  if (!existsSync(path)) throw new Error(`${path} is missing: \`make browsers\` installs it`);
  return path;
};

/** Starts Chromium. The arguments permit what a test measures: the heap, and frames without vsync limits of the host. */
export const startChromium = async (t, ...args) => {
  const browser = await chromium.launch({
    executablePath: executable("chromium"),
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--enable-precise-memory-info", ...args],
  });
  t.after(() => browser.close());
  return browser;
};

/** Opens a page and collects what the browser complains of. Each test checks that `errors` is empty. */
export const openPage = async (browser, url, options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.errors = [];
  page.on("pageerror", (e) => page.errors.push(`error: ${e.message}`));
  page.on("console", (m) => { if (m.type() === "error") page.errors.push(`console: ${m.text()}`); });
  await page.goto(url);
  return page;
};

/** The CPU time of a process and its descendants, in seconds. */
export const cpuSeconds = (pid) => {
  const children = new Map();
  const times = new Map();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const fields = readFileSync(`/proc/${name}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
      const parent = Number(fields[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
      times.set(Number(name), (Number(fields[11]) + Number(fields[12])) / 100);
    } catch { /* the process has ended */ }
  }
  const sum = (p) => (times.get(p) ?? 0) + (children.get(p) ?? []).reduce((all, c) => all + sum(c), 0);
  return sum(pid);
};

/** Waits until a function returns a truthy value, and fails with a description after some seconds. */
export const until = async (what, seconds, condition) => {
  const limit = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > limit) throw new Error(`after ${seconds} s still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

/** Returns the value at a quantile of numbers. */
export const quantile = (numbers, q) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
};

const strict = process.env.MESHHEALTH_STRICT === "1";

/** Prints a figure with its goal, and fails the test if the goal is missed. */
export const figure = (t, goal, text, value, limit, atLeast = false) => {
  const said = `${goal}: ${text}: ${Number(value.toFixed(2))} (goal ${atLeast ? "≥" : "≤"} ${limit})`;
  const met = atLeast ? value >= limit : value <= limit;
  t.diagnostic(met ? said : `MISSED ${said}`);
  if (!met) throw new Error(said);
};

/**
 * Prints a figure that depends on the speed of the machine and on what else runs there. A missed goal fails the
 * test only with MESHHEALTH_STRICT=1, because other programs must not decide about a change.
 */
export const timing = (t, goal, text, value, limit, atLeast = false) => {
  try {
    figure(t, goal, text, value, limit, atLeast);
  } catch (e) {
    if (strict) throw e;
  }
};
