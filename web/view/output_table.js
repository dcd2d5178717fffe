import { cell } from "../live/format.js";
import { resumed } from "../live/painting.js";
import { useEffect, useRef, useSignal } from "../vendor/vendor.js";
import { html } from "./ui.js";
import { VirtualTable, textColumn } from "./virtual_table.js";

/** The live table of an output: the newest row of each key, or the newest rows first. @param {{feed: import("../live/feeds.js").OutputFeed}} props */
export function OutputTable({ feed, title }) {
  const element = useRef();
  const sort = useSignal({});
  const columns = feed.columns.value;
  useEffect(() => {
    const view = feed.keyed ? keyedView(feed, sort) : newestFirst(feed);
    const table = new VirtualTable(element.current, {
      label: `Rows of ${title}`,
      ...view,
      on_sort: feed.keyed ? (column) => (sort.value = next(sort.peek(), column)) : undefined,
    });
    view.attach?.(table);
    const stops = [
      sort.subscribe((order) => {
        table.setColumns(
          columns.map((name) => textColumn(name, { numeric: isNumeric(feed, name) }, (row) => cell(row[name]))),
          order,
        );
        view.changed?.();
        table.repaint();
      }),
      feed.on("change", () => {
        view.changed?.();
        table.invalidate();
      }),
      resumed.subscribe(() => table.invalidate()),
    ];
    return () => {
      for (const stop of stops) stop();
      table.dispose();
    };
  }, [feed, columns]);
  return html`<div class="table" ref=${element} data-output=${feed.output.name} />`;
}

function isNumeric(feed, name) {
  return feed.series.columns.includes(name);
}

function next(sort, column) {
  if (sort.column !== column) return { column, direction: -1 };
  return sort.direction < 0 ? { column, direction: 1 } : {};
}

/** All keys in an order, made anew when something has changed. */
function keyedView(feed, sort) {
  let rows;
  const ordered = () => (rows ??= feed.newest.sorted(sort.peek().column, sort.peek().direction));
  return { count: () => feed.newest.size, row: (index) => ordered()[index], changed: () => (rows = undefined) };
}

/** The newest on top; what is being read stays in place while new rows come in above it. */
function newestFirst(feed) {
  let table;
  let painted_next = feed.ring.next;
  return {
    attach: (made) => (table = made),
    count: () => {
      const came = feed.ring.next - painted_next;
      painted_next = feed.ring.next;
      if (came > 0 && table.scroll_top > 0) table.shift(came);
      return feed.ring.size;
    },
    row: (index) => feed.ring.at(feed.ring.next - 1 - index),
  };
}
