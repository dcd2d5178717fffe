import { RowFeed } from "../live/feeds.js";
import { timeMs } from "../live/format.js";
import { useEffect, useRef, useSignal } from "../vendor/vendor.js";
import { Dialog } from "./dialog.js";
import { html, icon } from "./ui.js";
import { VirtualTable, textColumn } from "./virtual_table.js";

const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"];
const RANK = { TRACE: 0, DEBUG: 0, INFO: 1, WARN: 2, WARNING: 2, ERROR: 3, CRITICAL: 3, FATAL: 3 };

const COLUMNS = [
  textColumn("time", {}, (row) => timeMs(row.at)),
  textColumn("level", {}, (row) => row.level),
  textColumn("batch", { numeric: true }, (row) => (row.batch == null ? "" : String(row.batch))),
  textColumn("logger", {}, (row) => row.logger ?? ""),
  textColumn("message", { wide: true }, (row) => `${row.message}${row.traceback ? " ⏎" : ""}`),
];

/** The job's log, as it is written. */
export function LogsTab({ job }) {
  const element = useRef();
  const table = useRef();
  const level = useSignal("DEBUG");
  const following = useSignal(true);
  const count = useSignal(0);
  const opened = useSignal(undefined);
  useEffect(() => {
    const feed = new RowFeed(`${job.id}/$logs`);
    let rows = [];
    const view = new VirtualTable(element.current, {
      label: "Log lines",
      count: () => rows.length,
      row: (index) => rows[index],
      decorate: (line, row) => {
        line.dataset.level = row.level;
        line.onclick = row.traceback ? () => (opened.value = row) : null;
      },
    });
    table.current = view;
    view.setColumns(COLUMNS);
    const changed = () => {
      rows = feed.all().filter((row) => (RANK[row.level] ?? 1) >= RANK[level.peek()]);
      count.value = rows.length;
      view.invalidate();
      if (following.peek()) requestAnimationFrame(() => view.scrollToEnd());
    };
    const stops = [feed.on("change", changed), level.subscribe(changed)];
    return () => {
      for (const stop of stops) stop();
      view.dispose();
      feed.close();
    };
  }, [job.id]);
  const follow = () => {
    following.value = !following.value;
    if (following.value) table.current.scrollToEnd();
  };
  return html`<div class="time-bar">
      <div class="segments" role="group" aria-label="Least level">${LEVELS.map(
        (each) => html`<button type="button" key=${each} aria-pressed=${level.value === each}
        onClick=${() => (level.value = each)}>${each.toLowerCase()}</button>`,
      )}</div>
      <button type="button" class="button small ${following.value ? "on" : ""}" aria-pressed=${following.value}
        onClick=${follow}>${icon("follow")}Follow</button>
      <span class="muted small">${count.value} lines</span>
    </div>
    ${count.value === 0 && html`<p class="muted small nothing">Nothing is logged at this level yet.</p>`}
    <div class="table logs" ref=${element} hidden=${count.value === 0} />
    ${
      opened.value &&
      html`<${Dialog} title=${opened.value.message} on_close=${() => (opened.value = undefined)}>
      <pre class="traceback" tabindex="0">${opened.value.traceback}</pre><//>`
    }`;
}
