import { tick, time } from "../live/format.js";
import { uPlot } from "../vendor/vendor.js";
import { drawAccents } from "./chart_accents.js";
import { drawGaps } from "./chart_gaps.js";
import { colour } from "./scheme.js";
import { follow, pinned, window_seconds } from "./time_view.js";

export const HUES = 12;
const DASHES = [undefined, [6, 4], [2, 3]];
const HEIGHT_PX = 168;
const TALL_PX = 236;
const LEAST_SECONDS = 20;

/** From which time on to draw, and up to where: the window, or as much of it as there are data for. */
export function span(first_x, last_x = Date.now() / 1000) {
  if (pinned.peek()) return pinned.peek();
  const least = Math.min(first_x ?? last_x, last_x - LEAST_SECONDS);
  return { min: Math.max(last_x - window_seconds.peek(), least), max: last_x };
}

/** Room above and below the lines, and zero in view where it is near. */
export function rangeOfValues(low, high) {
  if (low == null || !Number.isFinite(low)) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : [Math.min(0, low * 1.4), Math.max(0, low * 1.4)];
  const room = (high - low) * 0.08;
  const floor = low >= 0 && low < high * 0.5 ? 0 : low - room;
  return [floor, high + room];
}

/**
 * A uPlot in the dashboard's clothes.
 *
 * @param {{lines: {label: string, hue: number, dash?: number[]}[], unit: string, width: number, gaps: () => object[], accents: () => object[], on_draw: () => void,
 *   on_cursor: (index: number | null, left: number) => void}} options
 */
export function makePlot({ lines, unit, width, scattered, gaps, accents, on_draw, on_cursor, shown, tall }, element) {
  const axis = {
    stroke: colour("--ink-3"),
    font: `11px ${getComputedStyle(element).fontFamily}`,
    ticks: { show: false },
  };
  const grid = { stroke: colour("--line"), width: 1 };
  const options = {
    width,
    height: tall ? TALL_PX : HEIGHT_PX,
    pxAlign: 0,
    legend: { show: false },
    focus: { alpha: 0.22 },
    padding: [14, 10, 0, 0],
    cursor: {
      sync: { key: "rivulet", setSeries: false, scales: ["x", null] },
      points: { size: 7, width: 1.5 },
      drag: { x: true, y: false, setScale: false },
      bind: { dblclick: () => () => follow() },
      y: false,
    },
    scales: {
      x: {
        time: true,
        range: () => {
          const { min, max } = shown();
          return [min, max];
        },
      },
      y: { range: (_plot, low, high) => rangeOfValues(low, high) },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 26,
        gap: 6,
        space: 90,
        values: (_plot, splits) => splits.map((split) => time(split * 1000)),
      },
      {
        ...axis,
        grid,
        size: 62,
        gap: 8,
        space: 34,
        values: (_plot, splits) => splits.map((split) => tick(split, unit)),
      },
    ],
    series: [
      {},
      ...lines.map(({ label, hue, dash }) => ({
        label,
        stroke: colour(`--hue-${hue % HUES}`),
        width: 1.6,
        dash: dash ?? DASHES[Math.floor(hue / HUES) % DASHES.length],
        fill: lines.length === 1 && !scattered ? softened(colour(`--hue-${hue % HUES}`)) : undefined,
        spanGaps: true,
        points: { show: scattered === true, size: 6, fill: colour(`--hue-${hue % HUES}`) },
        paths: scattered ? () => null : undefined,
      })),
    ],
    hooks: {
      draw: [
        (plot) => {
          drawAccents(plot, accents(), lines);
          drawGaps(plot, gaps());
          on_draw(plot);
        },
      ],
      setCursor: [(plot) => on_cursor(plot.cursor.idx, plot.cursor.left)],
      setSelect: [
        (plot) => {
          if (plot.select.width < 8) return;
          pinned.value = {
            min: plot.posToVal(plot.select.left, "x"),
            max: plot.posToVal(plot.select.left + plot.select.width, "x"),
          };
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
  return new uPlot(options, [[], ...lines.map(() => [])], element);
}

function softened(rgb) {
  return rgb.replace(/^rgb\((.*)\)$/, "rgba($1, 0.12)");
}
