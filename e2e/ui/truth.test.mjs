// G13: the page never shows more certainty than the coordinator has. An oracle follows the Watch of the
// coordinator beside the page (`meshhealth watch -o json`).
import assert from "node:assert/strict";
import { test } from "node:test";
import { live, rows } from "./browser.mjs";
import { startProxy } from "./proxy.mjs";
import { figure, folder, openPage, registrations, startChromium, startOracle, startRig, until } from "./rig.mjs";

/** The page asks for a heartbeat in this time, in seconds (web/src/source.ts). */
const heartbeat = 2;

const word = (h) => (h?.status ?? "STATUS_UNKNOWN").slice("STATUS_".length);
const stateOf = (page) => page.evaluate(() => document.documentElement.dataset.connection);

/** The statuses of the mesh and of its zones above the rows. */
const aggregates = (page) => page.evaluate(() => {
  const word = (e) => /[A-Z_]{4,}/.exec(e?.textContent ?? "")?.[0] ?? "";
  return [["*", word(document.querySelector("h1"))], ...[...document.querySelectorAll(".zones a")].map((a) => [`*/${a.querySelector("bdi").textContent}`, word(a.querySelector(".visually-hidden"))])];
});

/** The rows of the page equal the entries of the oracle, as soon as both are at rest. */
const equal = async (page, oracle, what) => {
  let difference = [];
  let sizes = "";
  await until(`${what}: the page equals the oracle`, 20, async () => {
    const shown = await rows(page);
    // The page omits services in zones.
    const want = new Map([...oracle.entries].filter(([name]) => name.includes("svc") && !name.includes("/@")));
    difference = [
      ...shown.filter((r) => r.status !== word(want.get(r.name)) || r.unconfirmed !== (want.get(r.name)?.unconfirmed ?? false)),
      ...(await aggregates(page)).filter(([name, status]) => status !== word(oracle.entries.get(name))),
    ];
    sizes = `${shown.length} rows, ${want.size} entries`;
    return shown.length === want.size && difference.length === 0;
  }).catch((e) => { throw new Error(`${e.message}: ${sizes}: ${JSON.stringify(difference.slice(0, 5))}`); });
};

/** The page says that it has no news, in time, and no row has changed by that. Returns the seconds until it said so. */
const says = async (page, what, begin) => {
  const before = JSON.stringify(await rows(page));
  await until(`${what}: the page says that it has no news`, 3 * heartbeat + 4, async () => (await stateOf(page)) === "lost");
  const after = (performance.now() - begin) / 1000;
  assert.equal(JSON.stringify(await rows(page)), before, `${what}: the lost stream has changed a row`);
  assert.match(await page.title(), /^⏸/);
  assert.match(await page.textContent(".banner.lost"), /No news for/);
  const first = await page.textContent("h1");
  await until(`${what}: ages count on`, 5, async () => (await page.textContent("h1")) !== first);
  assert.equal(JSON.stringify(await rows(page)), before, `${what}: a row has changed while nothing was known`);
  return after;
};

test("G13: pauses, kills, cuts and proxies", async (t) => {
  const dataDir = await folder(t);
  let rig = await startRig(t, { dataDir });
  const regs = registrations(5, 4);
  await rig.register(regs);
  await rig.report([], "SERVING");
  let proxy = await startProxy(t, rig.http);
  const browser = await startChromium(t);
  const page = await openPage(browser, `${proxy.http}/ui/?q=svc`);
  let oracle = await startOracle(t, rig.grpc);
  await live(page);
  await equal(page, oracle, "at the start");

  let seed = 7;
  const random = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  const shuffle = async () => {
    for (let i = 0; i < 20; i++) {
      const r = regs[random(regs.length)];
      await rig.report([`${r.service}/${r.instance}`], ["SERVING", "DEGRADED", "NOT_SERVING", "DRAINING", "MAINTENANCE"][random(5)], { reason: `step ${i}` });
    }
  };
  await shuffle();
  await equal(page, oracle, "after changes");
  await rig.flip(2000, 2);
  await equal(page, oracle, "after a storm");

  for (const what of ["paused", "black-holed", "cut off"]) {
    const begin = performance.now();
    if (what === "paused") process.kill(rig.pid, "SIGSTOP");
    if (what === "black-holed") proxy.mode = "blackhole";
    if (what === "cut off") { proxy.mode = "refuse"; proxy.cut(); }
    figure(t, "G13", `${what}: heartbeats until the page says so`, await says(page, what, begin) / heartbeat, 2.5);
    if (what === "paused") process.kill(rig.pid, "SIGCONT");
    else { if (what === "black-holed") proxy.cut(); proxy.mode = "pass"; }
    await shuffle();
    await until(`${what}: live again`, 30, async () => (await stateOf(page)) === "live");
    await equal(page, oracle, `after it was ${what}`);
  }

  // The coordinator is killed and starts again with its store, behind the same address.
  const begin = performance.now();
  const [grpc, http] = [rig.grpc, rig.http].map((a) => a.replace("http://", ""));
  rig.child.kill("SIGKILL");
  figure(t, "G13", "killed: heartbeats until the page says so", await says(page, "killed", begin) / heartbeat, 2.5);
  rig = await startRig(t, { dataDir, listen: grpc, http });
  await until("live after the restart", 40, async () => (await stateOf(page)) === "live");
  await equal(page, oracle, "after the restart");
  assert.match(await page.textContent(".banner.held"), /from before, unconfirmed until/);
  assert.match(await page.textContent(".toast"), /started again/);
  await rig.register(regs);
  await shuffle();
  await equal(page, oracle, "after the registration");

  // A proxy that buffers: the page must not look live while it knows nothing.
  proxy.mode = "buffer";
  proxy.cut();
  const late = performance.now();
  await says(page, "buffered", late);
  proxy.mode = "pass";
  proxy.cut();
  await until("live again without the buffer", 40, async () => (await stateOf(page)) === "live");
  await equal(page, oracle, "after the buffer");
});

test("the graph follows the entries", async (t) => {
  const rig = await startRig(t);
  await rig.register(registrations(3, 2));
  await rig.depend({ "svc-0001": { hard: ["svc-0000"] } });
  await rig.report([], "SERVING");
  const browser = await startChromium(t);
  const page = await openPage(browser, `${rig.ui}/s/svc-0001`);
  const node = page.locator("svg.graph a.node", { hasText: "svc-0000" });
  await node.waitFor();
  for (const status of ["DEGRADED", "NOT_SERVING", "SERVING"]) {
    await rig.report(["svc-0000/i-0", "svc-0000/i-1"], status);
    await until(`the box of the service says ${status}`, 10, async () => new RegExp(`(^|[^_])${status} `).test(await node.textContent()));
  }
  assert.deepEqual(page.errors, []);
});
