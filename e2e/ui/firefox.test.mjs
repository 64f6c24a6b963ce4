// A smoke test in Debian's Firefox: the page is live, follows changes, and shows an explanation.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { startFirefox } from "./marionette.mjs";
import { registrations, shots, startRig, until } from "./rig.mjs";

test("the page in Firefox", async (t) => {
  const rig = await startRig(t);
  await rig.register(registrations(6, 6));
  await rig.depend({ "svc-0001": { hard: ["svc-0000"] } });
  await rig.report([], "SERVING");
  const firefox = await startFirefox(t);
  await firefox.open(rig.ui);
  const row = (name) => firefox.run(`return document.querySelector('tr[data-name="${name}"] .c-status')?.textContent ?? ""`);
  await until("the page is live", 30, () => firefox.run("return document.documentElement.dataset.connection === 'live' && document.querySelector('canvas') !== null"));
  assert.match(await firefox.run("return document.querySelector('h1').textContent"), /SERVING/);
  const all = (service) => Array.from({ length: 6 }, (_, i) => `${service}/i-${i}`);
  await rig.report(all("svc-0000"), "NOT_SERVING", { reason: "the disk is full" });
  await rig.report(all("svc-0001"), "NOT_SERVING", { reason: "svc-0000 fails" });
  await until("the row has changed", 10, async () => /NOT_SERVING/.test(await row("svc-0000")));
  await until("the root is named", 10, () => firefox.run("return /1 root explains/.test(document.body.textContent)"));
  await firefox.run("document.dispatchEvent(new KeyboardEvent('keydown', { key: 'e', bubbles: true }))");
  await until("the explanation is there", 10, () => firefox.run("return /the disk is full/.test(document.body.textContent)"));
  mkdirSync(shots, { recursive: true });
  await firefox.screenshot(`${shots}/firefox.png`);
  for (const path of ["s/svc-0000", "s/svc-0000/i-0", "r/svc-0000", "history", "coordinator"]) {
    await firefox.open(`${rig.ui}/${path}`);
    await until(`${path} is shown`, 15, () => firefox.run("return document.documentElement.dataset.connection === 'live' && document.querySelector('main h1') !== null"));
  }
});
