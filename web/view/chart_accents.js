import { colour } from "./scheme.js";

const RADIUS_PX = 3.4;
const DIAMOND_PX = 7;

/**
 * Draw a ring around each value that another output calls an event: an anomaly on the line of its metric. Where two jobs are
 * compared, those of the fork are diamonds around the rings.
 *
 * @param {import("../vendor/vendor.js").uPlot} plot @param {(number | null)[][][]} views one for each such output, as uPlot takes data
 * @param {{dash?: number[]}[]} lines those of a fork have a dash of their own
 */
export function drawAccents(plot, views, lines) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.setLineDash([]); // that of the last line would go on
  ctx.lineWidth = 1.6 * devicePixelRatio;
  ctx.strokeStyle = colour("--bad");
  ctx.fillStyle = colour("--surface");
  for (const [x, ...rows] of views) {
    rows.forEach((values, index) => {
      if (!plot.series[index + 1].show) return;
      values.forEach((value, at) => {
        if (value === null || x[at] < plot.scales.x.min) return;
        ctx.beginPath();
        (lines[index].dash ? diamond : ring)(ctx, plot.valToPos(x[at], "x", true), plot.valToPos(value, "y", true));
        ctx.stroke();
      });
    });
  }
  ctx.restore();
}

function ring(ctx, x, y) {
  ctx.arc(x, y, RADIUS_PX * devicePixelRatio, 0, 2 * Math.PI);
  ctx.fill();
}

/** Wider than a ring, and not filled: where both jobs call a value an event, both are seen. */
function diamond(ctx, x, y) {
  const reach = DIAMOND_PX * devicePixelRatio;
  ctx.moveTo(x, y - reach);
  ctx.lineTo(x + reach, y);
  ctx.lineTo(x, y + reach);
  ctx.lineTo(x - reach, y);
  ctx.closePath();
}
