// G13 under real faults: `meshhealth chaos` suspends, kills and floods a coordinator and its targets. A page is
// sampled beside an oracle, which follows the Watch of the same coordinator (`meshhealth watch -o json`).
import assert from "node:assert/strict";
import { test } from "node:test";
import { live } from "./browser.mjs";
import { figure, openPage, runChaos, startChromium, startOracle } from "./rig.mjs";

const soak = process.env.MESHHEALTH_SOAK === "1";

/** The page asks for a heartbeat in this time, in ms (web/src/source.ts). */
const heartbeat = 2000;
/** Within this time the page must say that it has no news. So what it shows as live is never older than this, in ms. */
const bound = 2.5 * heartbeat;
/** The time between two samples of the page, in ms. */
const every = 250;
/**
 * Rows may change this long after the beginning and before the end of a time without news, in ms. Entries that arrived
 * before it are still drawn: texts have turns of 250 ms in a storm (web/src/turns.ts). At the end, a tab hears that the
 * stream is live after it has applied all entries (web/src/hub.ts).
 */
const settled = 500;
/** The oracle and the page are at rest if the oracle has heard nothing for this time, in ms: rows change places each second. */
const quiet = 1500;
/** Chaos waits this long before its faults, so that the page and the oracle are there. */
const wait = "5s";
const seed = "20261";

/**
 * Scenarios with their numbers of targets. Those of one lane run one after the other, and the lanes at the same time.
 * The table of the page has all of 60 targets. Of more targets it has the rows that fit into the window of the browser.
 */
const lanes = soak
  ? [[["pause", 200], ["kill", 200], ["storm", 5000], ["blackhole", 200], ["starve", 200], ["flap", 20], ["silent", 200], ["scale", 20]]]
  : [[["pause", 60], ["storm", 1000]], [["kill", 60]], [["blackhole", 60]]];
const rounds = soak ? 10 : 1;

/** The scenario kill registers hundreds of targets as load. They are only in the short table of others in trouble. */
const filter = "!load";
/** The page has the name in its heading, or in the table of all that match the filter. It omits services in zones. */
const isListed = (name) => name !== "" && !name.startsWith("*/") && !name.includes("/@") && !name.startsWith("load-");

/** What the page shows: its state, and each row with its status and the moment since when it has the status. */
const sample = (page) => page.evaluate(() => {
  const entryOf = (name, status, since) => ({
    name, since: since?.dateTime ?? "",
    status: /[A-Z_]{4,}/.exec(status?.textContent ?? "")?.[0] ?? "", unconfirmed: /unconfirmed/.test(status?.textContent ?? ""),
  });
  const heading = document.querySelector(".sentence h1");
  return {
    at: Date.now(), state: document.documentElement.dataset.connection, phases: globalThis.phases,
    whole: document.querySelector("tr.space") === null,
    mesh: heading && entryOf("*", heading.querySelector(".status"), heading.querySelector("time")),
    rows: [...document.querySelectorAll("tr[data-name]")].map((r) => entryOf(r.dataset.name, r.querySelector(".c-status"), r.querySelector(".c-for time"))),
  };
});

/** Records in the page when its state changes: globalThis.phases. */
const recordPhases = (page) => page.evaluate(() => {
  const root = document.documentElement;
  globalThis.phases = [];
  const add = () => globalThis.phases.at(-1)?.state === root.dataset.connection || globalThis.phases.push({ at: Date.now(), state: root.dataset.connection });
  new MutationObserver(add).observe(root, { attributes: true, attributeFilter: ["data-connection"] });
  add();
});

/** One scenario: what the page has shown, what the oracle has heard, and when the coordinator was cut off. */
class Run {
  samples = [];
  phases = [];
  /** Name → what the oracle has heard of it, with the times when it has heard it. */
  heard = new Map();
  /** When the oracle has heard something. */
  news = [];
  cuts = [];
  ended = Infinity;

  constructor(name) {
    this.name = name;
  }

  /** Follows the coordinator until the scenario has ended. */
  async follow(t, browser, [, ui, grpc]) {
    const oracle = await startOracle(t, grpc, (name, h) => this.hear(name, h));
    const page = await openPage(browser, `${ui}/?q=${encodeURIComponent(filter)}`, { viewport: { width: 1280, height: 4000 } });
    await live(page);
    await recordPhases(page);
    while (this.ended === Infinity) {
      const begin = performance.now();
      const s = await sample(page);
      this.phases = s.phases;
      this.samples.push({ at: s.at, state: s.state, whole: s.whole, entries: [...(s.mesh ? [s.mesh] : []), ...s.rows] });
      await new Promise((resolve) => setTimeout(resolve, begin + every - performance.now()));
    }
    assert.deepEqual(page.errors.filter((e) => e.startsWith("error:")), []);
    await page.context().close();
    await oracle.stop();
  }

  hear(name, { status = "STATUS_UNKNOWN", since, unconfirmed = false, removed = false }) {
    const at = Date.now();
    this.news.push(at);
    if (!this.heard.has(name)) this.heard.set(name, []);
    this.heard.get(name).push({ at, status: status.slice("STATUS_".length), since: since ? new Date(since).toISOString() : "", unconfirmed, removed });
  }

  /** Reads a line of progress: the faults that cut off the coordinator, and the end. */
  read(text) {
    const at = Date.now();
    const pause = /stopping the coordinator for (\d+)s/.exec(text);
    if (pause) this.cuts.push({ what: "paused", at, seconds: Number(pause[1]) });
    const kill = /killed after ([\d.]+)(m?s) under load/.exec(text);
    if (kill) this.cuts.push({ what: "killed", at: at + Number(kill[1]) * (kill[2] === "s" ? 1000 : 1), seconds: 0 });
    if (/^(pass|FAIL|skipped) after/.test(text)) this.end();
  }

  end() {
    this.ended = Math.min(this.ended, Date.now());
  }

  /** What the oracle had at a moment. */
  at(moment) {
    const all = new Map();
    for (const [name, history] of this.heard) {
      const last = history.findLast((h) => h.at <= moment);
      if (last && !last.removed) all.set(name, last);
    }
    return all;
  }
}

/** The number of elements with each key, in words. */
const tally = (list, keyOf) => {
  const numbers = new Map();
  for (const one of list) numbers.set(keyOf(one), (numbers.get(keyOf(one)) ?? 0) + 1);
  return [...numbers].map(([key, n]) => `${n} ${key}`).join(", ");
};

const show = (list) => JSON.stringify(list.slice(0, 5));

/**
 * Never a wrong colour. `since` identifies a status of a name, so the rule needs no clock: what the oracle has heard
 * with the same `since` is the same status, and unconfirmed if the page says so. The page may also be the only one that
 * has heard an entry, because a coordinator sends to each reader only the last of several changes, and a reader that
 * connects again after a kill misses what was before. Statuses that the oracle has never heard are counted, and few.
 * Doubt that it has never heard is counted too: it is no wrong colour, and at rest the page equals the oracle.
 * The second rule is about age: what a live page shows was not replaced earlier than `bound` before.
 */
const judgeColours = (t, run) => {
  const found = { wrong: [], stale: [], unheard: [], doubt: [], right: [] };
  for (const s of run.samples) {
    // A row without a status says that its entry was removed.
    for (const row of s.entries.filter((row) => row.status !== "")) found[verdictOn(row, s, run.heard.get(row.name) ?? [])].push({ ...row, at: s.at });
  }
  const { wrong, stale, unheard, doubt, right } = found;
  const heardOf = (rows) => show(rows.map((row) => ({ ...row, heard: run.heard.get(row.name) })));
  assert.equal(wrong.length, 0, `${run.name}: ${wrong.length} rows have a wrong status: ${heardOf(wrong)}`);
  assert.equal(stale.length, 0, `${run.name}: ${stale.length} rows are live and older than ${bound} ms: ${heardOf(stale)}`);
  assert.ok(right.length > 0, `${run.name}: nothing was judged`);
  t.diagnostic(`${run.name}: ${right.length} statuses are those of the oracle; in ${doubt.length} the page has heard of doubt, and the oracle has not`);
  figure(t, "G13", `${run.name}: % of the statuses that the oracle has not heard`, 100 * unheard.length / (right.length + unheard.length), 1);
};

const verdictOn = (row, s, history) => {
  const same = history.map((h, i) => [h, i]).filter(([h]) => !h.removed && h.since === row.since);
  if (same.length === 0) return "unheard";
  const equal = same.filter(([h]) => h.status === row.status && h.unconfirmed === row.unconfirmed);
  if (equal.length === 0) return row.unconfirmed && same.some(([h]) => h.status === row.status) ? "doubt" : "wrong";
  const replaced = equal.every(([, i]) => history[i + 1] !== undefined && history[i + 1].at < s.at - bound);
  return s.state === "live" && replaced ? "stale" : "right";
};

/** The times when the page said that it has no news: it knows nothing, so no row may change. */
const judgeLost = (t, run) => {
  const without = ["lost", "connecting"];
  const spans = run.phases.flatMap(({ at, state }, i) => (without.includes(state) ? [{ from: at, to: run.phases[i + 1]?.at ?? Infinity }] : []));
  for (const { from, to } of spans) {
    let before;
    for (const s of run.samples.filter((s) => without.includes(s.state) && s.at >= from + settled && s.at <= to - settled)) {
      const now = new Map(s.entries.map((r) => [r.name, `${r.status} ${r.unconfirmed} ${r.since}`]));
      const changed = before && [...now].filter(([name, said]) => before.has(name) && before.get(name) !== said);
      assert.equal(changed?.length ?? 0, 0, `${run.name}: rows have changed while nothing was known: ${show(changed ?? [])}`);
      before = now;
    }
  }
  let told = 0;
  for (const cut of run.cuts) {
    // The time in a line of chaos is rounded, so the page may say so some ms before it.
    const said = spans.find(({ from, to }) => to > cut.at - every && from <= cut.at + bound);
    if (said) {
      told++;
      figure(t, "G13", `${run.name}: ${cut.what}: heartbeats until the page said so`, Math.max(0, said.from - cut.at) / heartbeat, 2.5);
    }
    // A killed coordinator starts again at once. A page that reads from it in time need not say that it was away.
    assert.ok(said || cut.seconds * 1000 <= bound, `${run.name}: ${cut.what} for ${cut.seconds} s, and the page did not say so within ${bound} ms`);
  }
  if (run.cuts.length > 0) t.diagnostic(`${run.name}: the page said that it had no news in ${told} of ${run.cuts.length} cuts`);
  const lengths = spans.map(({ from, to }) => `${((Math.min(to, run.ended) - from) / 1000).toFixed(1)} s`);
  t.diagnostic(`${run.name}: without news: ${lengths.join(", ") || "never"}`);
};

/** At rest the page equals the oracle. A table that has all names has no others and lacks none. */
const judgeRest = (t, run) => {
  const atRest = (s) => s.state === "live" && s.at < run.ended && !run.news.some((at) => at > s.at - quiet && at <= s.at);
  const last = run.samples.findLast(atRest);
  assert.ok(last, `${run.name}: never at rest`);
  const want = run.at(last.at);
  const got = new Map(last.entries.map((r) => [r.name, r]));
  const differ = [...got.values()].filter((r) => {
    const h = want.get(r.name);
    return h?.status !== r.status || h.unconfirmed !== r.unconfirmed || h.since !== r.since;
  });
  const missing = last.whole ? [...want.keys()].filter((name) => isListed(name) && !got.has(name)) : [];
  assert.deepEqual([differ.slice(0, 5), missing.slice(0, 5)], [[], []], `${run.name}: the page at rest differs in ${differ.length} rows, and lacks ${missing.length}`);
  t.diagnostic(`${run.name}: at rest ${((run.ended - last.at) / 1000).toFixed(1)} s before the end: ${last.whole ? "all rows" : "the rows in the window"}, ${got.size} of ${want.size} entries: ${tally(got.values(), (r) => r.status)}`);
};

const judge = (t, run, verdict) => {
  const changes = run.samples.slice(1).reduce((n, s, i) => {
    const before = new Map(run.samples[i].entries.map((r) => [r.name, r.status]));
    return n + s.entries.filter((r) => before.has(r.name) && before.get(r.name) !== r.status).length;
  }, 0);
  t.diagnostic(`${run.name}: ${verdict.verdict}, ${verdict.transitions} true changes of ${verdict.instances} targets; ${run.cuts.map((c) => c.what).join(", ") || "the coordinator ran"}`);
  t.diagnostic(`${run.name}: ${run.samples.length} samples (${tally(run.samples, (s) => s.state)}) with ${changes} changes, ${run.news.length} entries of the oracle`);
  assert.ok(changes > 0, `${run.name}: the page has shown no change`);
  judgeColours(t, run);
  judgeLost(t, run);
  judgeRest(t, run);
};

test("G13: chaos", { concurrency: true, timeout: soak ? 20 * 60_000 : 85_000 }, async (t) => {
  const browser = await startChromium(t);
  await Promise.all(lanes.map((lane) => t.test(lane.map(([name]) => name).join(", then "), async (t) => {
    for (const [name, instances] of lane) {
      const run = new Run(name);
      let following;
      const args = ["--only", name, "--instances", String(instances), "--rounds", String(rounds), "--seed", seed, "--wait", wait];
      const [verdict] = await runChaos(t, args, (_, text) => {
        run.read(text);
        const at = /^page (\S+), grpc (\S+)$/.exec(text);
        if (at) following = run.follow(t, browser, at);
        following?.catch(() => run.end()); // the await below throws it
      }).finally(() => run.end());
      await following;
      judge(t, run, verdict);
    }
  })));
});
