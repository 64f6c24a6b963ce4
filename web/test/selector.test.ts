import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { entryOf, type Entry } from "../src/entry";
import type { HealthJson } from "../src/gen/meshhealth/v1/health_pb";
import { parseSelector, quoted } from "../src/selector";

interface Shared {
  readonly entries: readonly (Omit<HealthJson, "status" | "cause"> & { status: string; cause: string })[];
  readonly cases: readonly { readonly q: string; readonly matches?: readonly string[]; readonly error?: string }[];
}
const shared = JSON.parse(readFileSync("testdata/selectors.json", "utf8")) as Shared;
const entries = shared.entries.map((e) => entryOf({ ...e, status: `STATUS_${e.status}`, cause: `CAUSE_${e.cause.toUpperCase()}` } as HealthJson) as Entry);

test("the cases that the command line and the page have in common", () => {
  for (const c of shared.cases) {
    const s = parseSelector(c.q);
    if (c.error !== undefined) assert.ok(s.error.includes(c.error), `${c.q}: the error is ${JSON.stringify(s.error)}`);
    else {
      assert.equal(s.error, "", c.q);
      assert.deepEqual(entries.filter(s.matches).map((e) => e.name), c.matches, c.q);
    }
  }
});

test("a quoted value is read again", () => {
  for (const value of ["a", "a,b", 'a"b', '"', '""', ",", " a ", 'a=",b', "Ω💥", "a|b", "!a"]) {
    const s = parseSelector(`zone=x,label.k=${quoted(value)}`);
    assert.equal(s.error, "", value);
    assert.ok(s.matches({ ...entries[3]!, zone: "x", labels: { k: value } }), value);
    assert.ok(!s.matches({ ...entries[3]!, zone: "x", labels: { k: value + "." } }), value);
  }
});

// Every text of these pieces either has an error that names what is allowed, or matches without one.
test("no text breaks the filter", () => {
  const pieces = ["", "!", "=", ",", '"', "zone", "label.", "status", "cause", "a", "|", " ", "SERVING", "ok", "\u202e", "__proto__", "constructor="];
  for (const a of pieces) for (const b of pieces) for (const c of pieces) {
    const s = parseSelector(a + b + c);
    assert.ok(s.error === "" || s.error.includes("; allowed: "), s.error);
    assert.equal(typeof s.matches(entries[0]!), "boolean");
  }
});
