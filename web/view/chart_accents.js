import { colour } from "./scheme.js";

const RADIUS_PX = 3.4;

/**
 * Draw a ring around each value that another output calls an event: an anomaly on the line of its metric.
 *
 * @param {import("../vendor/vendor.js").uPlot} plot @param {(number | null)[][][]} views one for each such output, as uPlot takes data
 */
export function drawAccents(plot, views) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.setLineDash([]); // that of the last line would go on
  ctx.lineWidth = 1.6 * devicePixelRatio;
  ctx.strokeStyle = colour("--bad");
  ctx.fillStyle = colour("--surface");
  for (const [x, ...lines] of views) {
    lines.forEach((values, index) => {
      if (!plot.series[index + 1].show) return;
      values.forEach((value, at) => {
        if (value === null || x[at] < plot.scales.x.min) return;
        ctx.beginPath();
        ctx.arc(
          plot.valToPos(x[at], "x", true),
          plot.valToPos(value, "y", true),
          RADIUS_PX * devicePixelRatio,
          0,
          2 * Math.PI,
        );
        ctx.fill();
        ctx.stroke();
      });
    });
  }
  ctx.restore();
}
