import { quantity, time } from "../live/format.js";
import { useComputed, useEffect, useRef, useSignal } from "../vendor/vendor.js";
import { Chart } from "./chart.js";
import { PairedLegend } from "./paired_legend.js";
import { hidden_keys, pointed_key, toggleKey } from "./time_view.js";
import { html, icon } from "./ui.js";

const SPREAD = 40;
const LOOK_EVERY = 16;
const GAPS_LISTED = 3;

/**
 * The charts of an output: one per numeric column. Where rows name their unit and the sizes are far apart, a column gets one
 * plot per unit, so that bytes do not flatten percents.
 */
export function OutputCharts({ feed, name, changes }) {
  // Look at all of it again when there is a new line or column, and now and then for sizes that have drifted apart.
  useComputed(() => `${feed.shape.value}/${Math.floor(feed.publications.value / LOOK_EVERY)}`).value;
  const split = useRef(new Set()).current;
  const { series } = feed;
  const lines = series.lines.map((line, index) => ({ label: line.key, hue: index, ...line }));
  const order = feed.columns.value;
  const columns = series.columns
    .filter((column) => column !== feed.output.time)
    .sort((a, b) => order.indexOf(a) - order.indexOf(b));
  // Events are seen on the lines that they are about, and in their table: their own charts are there on request.
  const shown = useSignal(undefined);
  const chosen = shown.value ?? new Set(feed.scattered ? [] : columns);
  const first = columns.find((column) => chosen.has(column));
  return html`<div class="charts">
    <${Columns} columns=${columns} chosen=${chosen} on_choose=${(next) => (shown.value = next)} />
    ${lines.length > 1 && chosen.size > 0 && html`<${series.bases ? PairedLegend : Legend} bases=${series.bases} lines=${lines} evicted=${series.evicted} accents=${feed.accents} />`}
    ${series.gaps.length > 0 && html`<${Gaps} series=${series} />`}
    <div class="chart-grid">
      ${columns
        .filter((column) => chosen.has(column))
        .flatMap((column) =>
          facets(series, column, lines, split).map(
            ({ unit, members }, index) =>
              html`<${ChartPanel} tall=${column === first && index === 0}
                key=${`${column}/${unit}/${members.map(({ key }) => key).join()}/${column === first && index === 0}`} feed=${feed} name=${name}
              column=${column} unit=${unit} lines=${members} changes=${changes} />`,
          ),
        )}
    </div>
  </div>`;
}

/** One plot for all lines, or one for each unit where one scale cannot show them all. */
function facets(series, column, lines, split) {
  const with_values = lines.filter(({ key }) => series.last(key, column) !== undefined);
  const units = [...new Set(with_values.map(({ unit }) => unit))];
  const size_of = (unit) =>
    Math.max(...with_values.filter((line) => line.unit === unit).map(({ key }) => series.peak(key, column)));
  const sizes = units.map(size_of).filter((size) => size > 0);
  if (Math.max(...sizes) >= SPREAD * Math.min(...sizes)) split.add(column); // and stays so: charts do not jump to and fro
  if (units.length < 2 || !split.has(column)) {
    return with_values.length ? [{ unit: units.length === 1 ? units[0] : "", members: with_values }] : [];
  }
  return units
    .map((unit) => ({ unit, members: with_values.filter((line) => line.unit === unit) }))
    .sort((a, b) => b.members.length - a.members.length);
}

/** Which columns have a chart. */
function Columns({ columns, chosen, on_choose }) {
  if (columns.length < 2) return null;
  const toggle = (column) => on_choose(new Set(columns.filter((each) => chosen.has(each) !== (each === column))));
  return html`<div class="chart-columns" role="group" aria-label="Columns with a chart"><span class="muted small">Charts</span>
    ${columns.map(
      (column) => html`<button type="button" key=${column} class="column-key" aria-pressed=${chosen.has(column)}
        onClick=${() => toggle(column)}>${column}</button>`,
    )}
  </div>`;
}

/** The gaps in words; on the charts they are hatched bands. */
function Gaps({ series }) {
  const newest_first = series.gaps.slice(-GAPS_LISTED).reverse();
  return html`<ul class="gap-list">
    ${newest_first.map((gap) => html`<li key=${gap.from_x}>${icon("warning")}${told(gap)}</li>`)}
  </ul>`;
}

function told({ from_x, to_x, missing, reason }) {
  const from = Number.isNaN(from_x) ? "the start" : time(from_x * 1000);
  const to = Number.isNaN(to_x) ? "now" : time(to_x * 1000);
  const what = missing === 0 ? "The numbering began anew" : `${missing} publications are missing`;
  return `${what} between ${from} and ${to} (${reason})`;
}

function Legend({ lines, evicted, accents }) {
  return html`<div class="legend" role="group" aria-label="Lines shown">
    ${lines.map(
      ({
        key,
        hue,
      }) => html`<button type="button" key=${key} class="legend-key" aria-pressed=${!hidden_keys.value.has(key)}
        onClick=${() => toggleKey(key)} onPointerEnter=${() => (pointed_key.value = key)}
        onPointerLeave=${() => (pointed_key.value = undefined)} onFocus=${() => (pointed_key.value = key)}
        onBlur=${() => (pointed_key.value = undefined)}>
          <i class="swatch hue-${hue % 12} dash-${Math.floor(hue / 12) % 3}" />${key}</button>`,
    )}
    ${accents.map(({ output }) => html`<span class="legend-accent" key=${output.name}><i class="ring" />${output.name}</span>`)}
    ${evicted > 0 && html`<span class="muted small">The ${lines.length} lines updated last are drawn; the table has every key.</span>`}
  </div>`;
}

function ChartPanel({ tall, feed, name, column, unit, lines, changes }) {
  const element = useRef();
  const as_table = useSignal(false);
  const title = `${name}, ${column}${unit ? ` in ${unit}` : ""}`;
  const shown = lines.length === 1 ? [{ ...lines[0], label: lines[0].label || column }] : lines;
  useEffect(() => {
    const chart = new Chart(element.current, {
      series: feed.series,
      column,
      lines: shown,
      unit,
      title,
      scattered: feed.scattered,
      tall,
      accents: feed.accents.map((each) => each.series),
      changes: () => changes.peek(),
    });
    const stops = [feed, ...feed.accents].map((each) => each.on("change", () => chart.invalidate()));
    stops.push(changes.subscribe(() => chart.repaint()));
    return () => {
      for (const stop of stops) stop();
      chart.dispose();
    };
  }, []);
  return html`<figure class="card chart ${tall ? "wide" : ""}" data-column=${column}>
    <figcaption>
      <h3>${column}</h3>
      <span class="unit">${[lines.length === 1 && lines[0].label, unit].filter(Boolean).join(" · ")}</span>
      <button type="button" class="button quiet small" aria-pressed=${as_table.value} aria-label="Show ${title} as a table"
        title="Show as table" onClick=${() => (as_table.value = !as_table.value)}>${icon("table")}</button>
    </figcaption>
    <div class="plot" role="img" aria-label="Line chart of ${title}" ref=${element} />
    ${as_table.value && html`<${Figures} feed=${feed} column=${column} unit=${unit} lines=${shown} />`}
  </figure>`;
}

/** The chart in figures. */
function Figures({ feed, column, unit, lines }) {
  feed.publications.value;
  const { series } = feed;
  return html`<div class="figures-scroll" tabindex="0" role="region" aria-label="Figures of ${column}"><table class="figures">
    <thead><tr><th scope="col">line</th><th scope="col">last</th><th scope="col">lowest</th><th scope="col">mean</th>
      <th scope="col">highest</th></tr></thead>
    <tbody>${lines.map(({ key, label }) => {
      const { low, mean, high } = series.summary(key, column);
      return html`<tr key=${key}><th scope="row">${label}</th>
        ${[series.last(key, column), low, mean, high].map((value) => html`<td>${quantity(value, unit)}</td>`)}</tr>`;
    })}</tbody>
  </table></div>`;
}
