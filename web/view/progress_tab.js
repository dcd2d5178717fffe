import { cell } from "../live/format.js";
import { resumed } from "../live/painting.js";
import { useEffect, useRef } from "../vendor/vendor.js";
import { Chart } from "./chart.js";
import { Empty, html } from "./ui.js";
import { VirtualTable, textColumn } from "./virtual_table.js";

// Spark's own names (StreamingQueryProgress), as its web interface and its documents have them.
const CHARTS = [
  {
    title: "Durations",
    unit: "ms",
    wide: true,
    columns: ["batch_duration_ms", "add_batch_ms", "query_planning_ms", "wal_commit_ms", "commit_offsets_ms"],
  },
  { title: "Rates", unit: "rows/s", columns: ["input_rows_per_second", "processed_rows_per_second"] },
  { title: "Input rows", unit: "rows", columns: ["input_rows"] },
  { title: "State", unit: "rows", columns: ["state_rows"] },
];
const HIDDEN = new Set(["progress"]);

/** Spark's account of every micro-batch. */
export function ProgressTab({ page }) {
  const feed = page.progress;
  const [line] = feed.series.lines;
  if (!feed.publications.value || !line) {
    return html`<${Empty} title="No micro-batch yet">
      <p>Spark reports its progress after every micro-batch; the first one is on its way.</p><//>`;
  }
  const shown = CHARTS.map((chart) => ({
    ...chart,
    columns: chart.columns.filter((column) => line.columns.has(column)),
  }));
  return html`<div class="chart-grid">${shown
    .filter(({ columns }) => columns.length)
    .map(
      (chart) =>
        html`<${ProgressChart} key=${`${chart.title}/${chart.columns.join()}`} feed=${feed} changes=${page.changes}
          ...${chart} />`,
    )}</div>
    <${ProgressTable} feed=${feed} />`;
}

function ProgressChart({ feed, changes, title, unit, columns, wide }) {
  const element = useRef();
  useEffect(() => {
    // Here the lines of a chart are columns of one row, not keys of one column.
    const lines = columns.map((column, hue) => ({ key: column, label: column, hue }));
    const chart = new Chart(element.current, {
      series: transposed(feed.series),
      column: "",
      lines,
      unit,
      title,
      changes: () => changes.peek(),
    });
    const stops = [feed.on("change", () => chart.invalidate()), changes.subscribe(() => chart.repaint())];
    return () => {
      for (const stop of stops) stop();
      chart.dispose();
    };
  }, []);
  return html`<figure class="card chart ${wide ? "wide" : ""}" data-column=${title}>
    <figcaption><h2>${title}</h2><span class="unit">${unit}</span>
      <ul class="chart-key">${columns.map(
        (column, hue) => html`<li key=${column}>
        <i class="swatch hue-${hue}" />${column}</li>`,
      )}</ul></figcaption>
    <div class="plot" role="img" aria-label="Line chart of ${title}" ref=${element} />
  </figure>`;
}

/** A series seen the other way round: a line's key is the column. */
function transposed(series) {
  return {
    get gaps() {
      return series.gaps;
    },
    get first_x() {
      return series.first_x;
    },
    get last_x() {
      return series.last_x;
    },
    get size() {
      return series.size;
    },
    xOfBatch: (batch) => series.xOfBatch(batch),
    last: (key) => series.last("", key),
    view: (_column, lines, from_x) => {
      const views = lines.map(({ key }) => series.view(key, [{ key: "" }], from_x));
      return [views[0][0], ...views.map((view) => view[1])];
    },
  };
}

function ProgressTable({ feed }) {
  const element = useRef();
  const names = feed.columns.value.filter((name) => !HIDDEN.has(name));
  useEffect(() => {
    const { ring } = feed;
    const table = new VirtualTable(element.current, {
      label: "Micro-batches, newest first",
      count: () => ring.size,
      row: (index) => ring.at(ring.next - 1 - index),
    });
    table.setColumns(
      names.map((name) =>
        textColumn(name, { numeric: name !== "at" && name !== "watermark" }, (row) => cell(row[name])),
      ),
    );
    const stops = [feed.on("change", () => table.invalidate()), resumed.subscribe(() => table.invalidate())];
    return () => {
      for (const stop of stops) stop();
      table.dispose();
    };
  }, [names.join()]);
  return html`<div class="table" ref=${element} />`;
}
