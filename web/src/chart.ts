// Charts of figures over time. The page loads this file when it first draws one.
import uPlot from "uplot";
import { clockTime } from "./words";

/** A line of a chart. */
export interface Line {
  readonly label: string;
  /** A CSS property with the colour, such as `--ink`. */
  readonly colour: string;
  readonly dash?: readonly number[];
}

/** A chart in an element. */
export interface Chart {
  /** Times in seconds since 1970, and the values of each line. */
  set(times: readonly number[], values: readonly (readonly (number | null)[])[]): void;
  destroy(): void;
}

const height = 180; // CSS pixels

/** Draws lines into an element, as wide as the element. */
export const draw = (into: HTMLElement, unit: string, lines: readonly Line[]): Chart => {
  const style = getComputedStyle(into);
  const colour = (name: string): string => style.getPropertyValue(name).trim() || style.color;
  const axis = { stroke: style.color, font: `12px ${style.fontFamily}`, grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const plot = new uPlot(
    {
      width: into.clientWidth, height,
      series: [{}, ...lines.map((l) => ({ label: l.label, stroke: colour(l.colour), width: 2, spanGaps: false, ...(l.dash && { dash: [...l.dash] }), points: { show: (u: uPlot) => u.data[0].length < 10 } }))],
      axes: [{ ...axis, space: 90, values: (_: uPlot, times: number[]) => times.map((t) => clockTime(t * 1000)) }, { ...axis, size: 64, values: (_: uPlot, ticks: number[]) => ticks.map((v) => `${v} ${unit}`) }],
      scales: { y: { range: (_: uPlot, __: number, max: number) => [0, Math.max((max ?? 0) * 1.1, 1)] } },
      cursor: { drag: { x: false, y: false } },
      legend: { live: false },
    },
    [[], ...lines.map(() => [])] as uPlot.AlignedData,
    into,
  );
  const resize = new ResizeObserver(() => plot.setSize({ width: into.clientWidth, height }));
  resize.observe(into);
  return {
    set: (times, values) => plot.setData([times, ...values] as unknown as uPlot.AlignedData),
    destroy: () => {
      resize.disconnect();
      plot.destroy();
    },
  };
};
