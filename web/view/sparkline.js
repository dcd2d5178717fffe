import { number } from "../live/format.js";
import { painter } from "../live/painting.js";
import { effect, useEffect, useRef } from "../vendor/vendor.js";
import { colour, colours } from "./scheme.js";
import { html } from "./ui.js";

/** The last values of a column as a small stream that flows to the right. */
export function Sparkline({ feed, column, label }) {
  const element = useRef();
  useEffect(() => {
    const canvas = element.current;
    const own = painter(() => draw(canvas, feed, column, label));
    const resize = new ResizeObserver(() => own.invalidate());
    resize.observe(canvas);
    const stops = [
      feed.on("change", own.invalidate),
      effect(() => {
        colours.value;
        own.invalidate();
      }),
    ];
    return () => {
      for (const stop of stops) stop();
      resize.disconnect();
      own.dispose();
    };
  }, [feed, column]);
  return html`<canvas class="sparkline" ref=${element} role="img" aria-label=${label} />`;
}

function draw(canvas, feed, column, label) {
  const values = feed
    .all()
    .slice(-120)
    .map((row) => row[column])
    .filter((value) => typeof value === "number");
  const scale = devicePixelRatio;
  const width = (canvas.width = canvas.clientWidth * scale);
  const height = (canvas.height = canvas.clientHeight * scale);
  const context = canvas.getContext("2d");
  if (values.length < 2 || !width) return;
  const high = Math.max(...values, 1e-9);
  const x = (index) => (index / (values.length - 1)) * (width - 4 * scale) + scale;
  const y = (value) => height - 3 * scale - (value / high) * (height - 8 * scale);
  const line = new Path2D();
  line.moveTo(x(0), y(values[0]));
  // Halfway points as ends and values as control points: the line flows, and never overshoots.
  for (let i = 1; i < values.length; i++)
    line.quadraticCurveTo(x(i - 1), y(values[i - 1]), (x(i - 1) + x(i)) / 2, (y(values[i - 1]) + y(values[i])) / 2);
  line.lineTo(x(values.length - 1), y(values.at(-1)));
  const area = new Path2D(line);
  area.lineTo(x(values.length - 1), height);
  area.lineTo(x(0), height);
  const river = colour("--river");
  const fill = context.createLinearGradient(0, 0, 0, height);
  fill.addColorStop(0, river.replace("rgb(", "rgba(").replace(")", ", 0.22)"));
  fill.addColorStop(1, river.replace("rgb(", "rgba(").replace(")", ", 0)"));
  context.fillStyle = fill;
  context.fill(area);
  context.strokeStyle = river;
  context.lineWidth = 1.6 * scale;
  context.stroke(line);
  context.fillStyle = river;
  context.beginPath();
  context.arc(x(values.length - 1), y(values.at(-1)), 2.6 * scale, 0, 7);
  context.fill();
  canvas.setAttribute(
    "aria-label",
    `${label}: now ${number(values.at(-1))}, at most ${number(high)} in the last ${values.length} batches`,
  );
}
