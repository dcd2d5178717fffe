import { time, value } from "../live/format.js";
import { useEffect, useSignal } from "../vendor/vendor.js";
import { Empty, StateChip, html } from "./ui.js";

const SHOWN = 200;

/** What happened to the job: its lifecycle and the changes of its parameters, newest first. */
export function EventsTab({ page }) {
  const rows = useSignal([]);
  useEffect(() => {
    const changed = () => (rows.value = page.events.all().slice(-SHOWN).reverse());
    changed();
    return page.events.on("change", changed);
  }, [page]);
  if (!rows.value.length)
    return html`<${Empty} title="Nothing has happened yet">
      <p>Starts, restarts, ends and changes of parameters are listed here.</p><//>`;
  return html`<ol
    class="timeline">${rows.value.map((row, index) => html`<${Event} key=${rows.value.length - index} row=${row} />`)}</ol>`;
}

function Event({ row }) {
  return html`<li class="event ${row.kind} ${row.state}">
    <time datetime=${row.at}>${time(row.at)}</time>
    <i class="event-dot" />
    <div class="event-what"><${row.kind === "parameters" ? Parameters : Lifecycle} row=${row} />
      ${row.reason && html`<p class="event-reason">${row.reason}</p>`}</div>
  </li>`;
}

function Lifecycle({ row }) {
  return html`<${StateChip} state=${row.state} />
    ${row.restarts > 0 && html`<span class="muted">after ${row.restarts} restarts</span>`}`;
}

function Parameters({ row }) {
  const changed = JSON.parse(row.changed || "{}");
  const what = Object.entries(changed)
    .map(([name, each]) => `${name} → ${value(each)}`)
    .join(", ");
  return html`<span class="event-change">
    <b>r${row.revision} ${row.state}</b>${row.batch != null ? ` in batch ${row.batch}` : ""}</span>
    <span class="muted">${[what, row.by && `by ${row.by}`].filter(Boolean).join(" · ")}</span>`;
}
