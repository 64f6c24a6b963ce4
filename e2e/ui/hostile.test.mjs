// Texts from outside are shown as texts: none runs, and none breaks the layout.
import assert from "node:assert/strict";
import { test } from "node:test";
import { live } from "./browser.mjs";
import { openPage, startChromium, startRig } from "./rig.mjs";

const scripts = [
  "<script>globalThis.hacked=1</script>", "<img src=x onerror=globalThis.hacked=1>", "<svg/onload=globalThis.hacked=1>", "javascript:globalThis.hacked=1",
  "\"><script>globalThis.hacked=1</script>", "'-globalThis.hacked=1-'", "${globalThis.hacked=1}", "{{constructor.constructor('globalThis.hacked=1')()}}",
  "</title><script>globalThis.hacked=1</script>", "<iframe srcdoc='<script>top.hacked=1</script>'>", "<a href=javascript:globalThis.hacked=1>x</a>", "<style>*{display:none}</style>",
  "<base href=https://example.invalid/>", "<meta http-equiv=refresh content=0;url=https://example.invalid>", "<math><mtext></form><form><mglyph><style></math><img src onerror=globalThis.hacked=1>",
  "__proto__", "constructor", "toString", "%3Cscript%3E", "&lt;script&gt;", "\u202Egnp.exe", "\u2066\u2067\u2068", "\u200B\u200C\u200D\uFEFF", "a\u0300".repeat(100), "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘",
  "\uD83D\uDE00".repeat(60), "﷽".repeat(20), "ｗｉｄｅ".repeat(20), "W".repeat(120), "i".repeat(120), "\t\t\t", "line\nline\nline", "\u2028\u2029", "null", "undefined", "NaN", "-0", "1e999", "SELECT 1; DROP TABLE", "../../etc/passwd",
];
// 200 texts: each script, with parts before and after it.
const texts = Array.from({ length: 200 }, (_, i) => (scripts[i % scripts.length] + (i < scripts.length ? "" : ` ${i}`)).slice(0, 100));
const bytes = (text, n) => { while (Buffer.byteLength(text) > n) text = [...text].slice(0, -1).join(""); return text; };

test("200 hostile texts in each field", async (t) => {
  const rig = await startRig(t);
  const browser = await startChromium(t);
  let refused = 0, forced = 0;
  const names = [];
  for (const [i, text] of texts.entries()) {
    // Names and zones have few characters: the coordinator refuses the others, by name of the field.
    for (const field of ["service", "instance", "zone"]) {
      const reg = { service: "safe", instance: "a", zone: "z", [field]: text };
      if (/^[A-Za-z0-9._:-]{1,255}$/.test(text)) continue; // a valid name
      await assert.rejects(rig.register([reg]), new RegExp(field), `${field}: ${text}`);
      refused++;
    }
    const reg = { service: `svc-${i % 20}`, instance: `i-${i}`, zone: `z-${i % 3}`, labels: { [`k${i % 5}`]: bytes(text, 60) || "x" }, version: bytes(text, 120) };
    // Control characters in labels and versions are refused too.
    await rig.register([reg]).catch(async () => { refused++; await rig.register([{ ...reg, labels: {}, version: "" }]); });
    names.push(`${reg.service}/${reg.instance}`);
    await rig.report([names.at(-1)], i % 2 ? "NOT_SERVING" : "DEGRADED", {
      reason: text, checks: [{ name: bytes(text, 60) || "x", status: "STATUS_NOT_SERVING", reason: text, observedValue: 1, observedUnit: bytes(text, 20) }],
    }).catch(async () => { refused++; await rig.report([names.at(-1)], "NOT_SERVING", { reason: text }); });
  }
  for (const [i, text] of texts.slice(0, 40).entries()) {
    await rig.override(`svc-${i % 20}`, bytes(text, 120), bytes(text, 1000)).then(() => { forced++; }, () => { refused++; });
  }
  assert.ok(forced > 0, "no override was accepted");
  t.diagnostic(`the coordinator refused ${refused} values`);
  const requests = [];
  for (const width of [1280, 390]) {
    const page = await openPage(browser, "about:blank", { viewport: { width, height: 900 } });
    page.on("request", (r) => requests.push(r.url()));
    page.on("dialog", (d) => { throw new Error(`a dialog has opened: ${d.message()}`); });
    const paths = ["", "?q=svc", "?group=version", "?group=label.k1", "history", "maintenance", "coordinator", ...names.slice(0, 16).map((n) => `s/${n}`), "s/svc-0", "s/svc-1", "r/svc-0", `?q=${encodeURIComponent(scripts[1])}`, `s/${encodeURIComponent(scripts[0])}`, `r/${encodeURIComponent(scripts[2])}`];
    for (const path of paths) {
      await page.goto(`${rig.ui}/${path}`);
      await page.waitForFunction(() => document.documentElement.dataset.connection === "live" && document.querySelector("h1") !== null);
      const bad = await page.evaluate(() => ({
        hacked: globalThis.hacked, scripts: document.querySelectorAll("main script, main style, main iframe, main base, main meta, main img").length,
        wide: document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] : [...document.querySelectorAll("main *")]
          .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).slice(-4).map((e) => `${e.tagName}.${e.getAttribute("class")}: ${e.textContent.slice(0, 40)}`),
        hidden: getComputedStyle(document.body).display,
        links: [...document.querySelectorAll("a")].filter((a) => !a.href.startsWith(location.origin)).length,
      }));
      assert.deepEqual(bad, { hacked: undefined, scripts: 0, wide: [], hidden: "block", links: 0 }, `${path} at ${width} px`);
    }
    assert.deepEqual(page.errors.filter((e) => !/404/.test(e)), []);
    await page.close();
  }
  assert.deepEqual(requests.filter((u) => !u.startsWith(rig.http) && !u.startsWith("about:")), []);
});
