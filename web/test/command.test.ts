import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { clearLine, commandOf, explainLine, quoted } from "../src/command";
import { pathOf, type Route, type View } from "../src/route";

const route = (view: View, more: Partial<Route> = {}): Route => ({ view, q: "", group: "", at: 0, from: 0, to: 0, selected: "", ...more });

/** Views of each kind. Go parses their command lines in cmd/meshhealth, TestPageCommands. */
const samples: Route[] = [
  route({ page: "now" }),
  route({ page: "now" }, { q: "service=pay.v1.Pay" }),
  route({ page: "now" }, { q: "zone=eu-1,!status=SERVING" }),
  route({ page: "now" }, { q: `label.team="core,web"` }),
  route({ page: "now" }, { q: "zone=eu-1,status=NOT_SERVING", at: 1000, group: "zone" }),
  route({ page: "service", service: "pay.v1.Pay" }),
  route({ page: "service", service: "*" }),
  route({ page: "service", service: "-a" }),
  route({ page: "instance", service: "pay", instance: "10.0.0.1:80" }),
  route({ page: "root", service: "db" }, { at: 1000 }),
  route({ page: "history" }),
  route({ page: "history" }, { selected: "pay/a" }),
  route({ page: "history" }, { q: "service=pay", from: 1000, to: 2000 }),
  route({ page: "maintenance" }),
  route({ page: "coordinator" }),
  route({ page: "missing", path: "x/y" }),
];

test("the command lines of views are those that Go has parsed", async () => {
  const lines = samples.map((r) => `${r.view.page} ${pathOf(r.view)}\t${commandOf(r).line}`);
  for (const scope of ["pay", "pay/a", "zone=eu-1", `label.team="core,web"`, "label.team=it's $(a) `b`"]) {
    lines.push(`maintenance ${scope}\t${clearLine(scope, true)}`, `override ${scope}\t${clearLine(scope, false)}`);
  }
  lines.push(`explain *\t${explainLine("*")}`);
  const text = lines.join("\n") + "\n";
  const file = "test/commandlines.txt";
  if (process.env.REWRITE) await writeFile(file, text);
  assert.equal(text, await readFile(file, "utf8"), "REWRITE=1 npm test writes the file; then run go test ./cmd/meshhealth");
});

test("a command line says what it leaves out", () => {
  const without = (r: Route): string => commandOf(r).without.join(", ");
  assert.deepEqual(samples.map(without).filter((w) => w !== ""), ["the filter, the moment", "the moment"]);
  assert.equal(without(route({ page: "coordinator" }, { q: "service=pay" })), "the filter");
});

test("a word is quoted for a shell", () => {
  assert.deepEqual(["a/b-c", "*", "a'b", "", "zone=eu-1,x"].map(quoted), ["a/b-c", "'*'", `'a'\\''b'`, "''", "zone=eu-1,x"]);
});
