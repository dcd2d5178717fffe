import { colour } from "./scheme.js";

const MIN_WIDTH_PX = 6;

/**
 * Draw the gaps over the lines: a hatched band where offsets will never come, so that nobody takes a straight line for data.
 *
 * @param {import("../vendor/vendor.js").uPlot} plot @param {{from_x: number, to_x: number}[]} gaps
 */
export function drawGaps(plot, gaps) {
  const { ctx, bbox } = plot;
  const { min, max } = plot.scales.x;
  for (const { from_x, to_x } of gaps) {
    const from = Number.isNaN(from_x) ? min : from_x;
    const to = Number.isNaN(to_x) ? max : to_x;
    if (to < min || from > max) continue;
    const left = Math.max(bbox.left, plot.valToPos(from, "x", true));
    const right = Math.min(bbox.left + bbox.width, Math.max(plot.valToPos(to, "x", true), left + MIN_WIDTH_PX));
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, bbox.top, right - left, bbox.height);
    ctx.clip();
    ctx.fillStyle = colour("--surface");
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
    ctx.setLineDash([]);
    ctx.strokeStyle = colour("--warn");
    ctx.globalAlpha = 0.45;
    ctx.lineWidth = devicePixelRatio;
    const step = 7 * devicePixelRatio;
    ctx.beginPath();
    for (let x = left - bbox.height; x < right; x += step) {
      ctx.moveTo(x, bbox.top + bbox.height);
      ctx.lineTo(x + bbox.height, bbox.top);
    }
    ctx.stroke();
    ctx.restore();
  }
}
