// The figures of one instance: response times as a chart, and its gauges.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type * as charts from "./chart";
import { inMilliseconds } from "./checks";
import { durationOf } from "./duration";
import type { CheckRequestJson, CheckResponseJson, MetricsJson } from "./gen/meshhealth/v1/health_pb";
import { Outside } from "./parts";
import { state } from "./state";
import { number } from "./words";

/** Points that the chart keeps: ten minutes at one a second. */
const mostPoints = 600;
const every = 1000;
/** Seconds that the axis shows at least. */
const shortest = 60;
/** Seconds without figures that become a hole in the lines. Figures come with the reports of an instance. */
const pause = 60;

interface Points {
  readonly times: number[];
  readonly p50: (number | null)[];
  readonly p99: (number | null)[];
}

/** Response times since this view was opened. The coordinator keeps no older ones. */
export const Figures = ({ name }: { name: string }): JSX.Element => {
  const box = useRef<HTMLDivElement>(null);
  const latest = useSignal<MetricsJson | undefined>(undefined);
  const failed = useSignal("");
  useEffect(() => {
    const points: Points = { times: [], p50: [], p99: [] };
    let chart: charts.Chart | undefined;
    let gone = false;
    const show = (): void => chart?.set(points.times, [points.p50, points.p99]);
    import(/* the build leaves this address as it is */ new URL("assets/chart.js", document.baseURI).href).then(
      (module: typeof charts) => {
        if (gone || !box.current) return;
        chart = module.draw(box.current, "ms", [{ label: "p50", colour: "--serving" }, { label: "p99", colour: "--degraded", dash: [6, 4] }]);
        show();
      },
      () => (failed.value = "The chart could not be loaded."),
    );
    const take = (m: MetricsJson | undefined): void => {
      if (m === undefined || gone) return;
      latest.value = m;
      add(points, state.clock.peek() / 1000, m);
      show();
    };
    // The stream sends figures when they change; the call gives the present ones.
    const stop = new AbortController();
    state.call<CheckRequestJson, CheckResponseJson>("HealthService/Check", { service: name }, stop.signal).then((r) => take(r.health?.metrics), () => undefined);
    const end = state.watchNames([name], every, (figures) => take(figures.at(-1)?.metrics));
    return () => {
      gone = true;
      stop.abort();
      end();
      chart?.destroy();
    };
  }, [name]);
  const m = latest.value;
  return (
    <div class="figures">
      {m === undefined && <p class="hint">No figures have arrived since this view was opened.</p>}
      {failed.value !== "" && <p role="status">{failed.value}</p>}
      {m !== undefined && (
        <p>
          Now p50 {inMilliseconds(durationOf(m.responseTimeP50))}, p99 {inMilliseconds(durationOf(m.responseTimeP99))}; {number(Number(m.failures ?? 0))} of {number(Number(m.runs ?? 0))} runs failed since its start.
        </p>
      )}
      <div ref={box} class="chart" role="img" aria-label="Response times, p50 and p99, since this view was opened" hidden={m === undefined} />
      {m?.gauges && <dl class="facts">{Object.entries(m.gauges).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => <><dt><Outside text={k} /></dt><dd>{String(v)}</dd></>)}</dl>}
    </div>
  );
};

/** Adds a point. A pause in the figures becomes a hole in the lines. */
const add = (p: Points, at: number, m: MetricsJson): void => {
  const last = p.times.at(-1);
  if (last === undefined) push(p, at - shortest, null, null);
  if (last !== undefined && at <= last) return;
  if (last !== undefined && at - last > pause && p.p50.at(-1) !== null) push(p, (at + last) / 2, null, null);
  push(p, at, durationOf(m.responseTimeP50), durationOf(m.responseTimeP99));
};

const push = (p: Points, at: number, p50: number | null, p99: number | null): void => {
  p.times.push(at);
  p.p50.push(p50);
  p.p99.push(p99);
  if (p.times.length > mostPoints) for (const list of [p.times, p.p50, p.p99]) list.shift();
};
