import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, parseRoute, type Route, type View } from "../src/route";

const base = new URL("https://example.test/prefix/ui/");

test("each view has an address that restores it", () => {
  const views: View[] = [
    { page: "now" }, { page: "service", service: "pay.v1.Pay" }, { page: "instance", service: "pay", instance: "10.0.0.1:80" },
    { page: "root", service: "db" }, { page: "history" }, { page: "maintenance" }, { page: "coordinator" },
  ];
  for (const view of views) {
    const route: Route = { view, q: "zone=eu-1,label.team=a b&c", group: "label.team", at: 1_700_000_000_123, from: 1, to: 2, selected: "pay/a" };
    assert.deepEqual(parseRoute(new URL(addressOf(route), base), base), route);
  }
});

test("a path that names no view is missing, and bad texts change nothing", () => {
  assert.deepEqual(parseRoute(new URL("s/a/b/c", base), base).view, { page: "missing", path: "s/a/b/c" });
  assert.deepEqual(parseRoute(new URL("s/%E0%A4%A?at=nonsense&q=" + "x".repeat(5000), base), base).at, 0);
});
