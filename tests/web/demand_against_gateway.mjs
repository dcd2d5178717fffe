// Run by a test in Python with the address of a real gateway: demand, changes in place and Arrow there, as one line of JSON.
import { connect } from "../../web/client/index.js";

const [url] = process.argv.slice(2);
const STREAM = "host_metrics/metrics";

/** Take `n` publications, and tell how they came. */
async function taken(connection, options, n, on_publication = () => {}) {
  const subscription = connection.subscribe(STREAM, { since: "earliest", overflow: "drop_oldest", ...options });
  const found = [];
  const done = new Promise((resolve, reject) => {
    subscription.on("ended", ({ reason, error }) => reject(error ?? new Error(reason)));
    subscription.on("publication", async (publication) => {
      found.push(publication);
      if (found.length === n) resolve();
      await on_publication(subscription, found.length);
    });
  });
  await done;
  const { counts } = subscription;
  await connection.unsubscribe(subscription);
  return { found, counts };
}

const connection = connect(url, {});

// More than the window comes, because it is granted again.
const window = await taken(connection, { credit: 4 }, 10);

// With credit 0 nothing comes but what is asked for: the third would end this too early.
const asked = connection.subscribe(STREAM, { since: "earliest", overflow: "drop_oldest", credit: 0 });
const came = [];
const two = new Promise((resolve) =>
  asked.on("publication", ({ offset }) => {
    came.push(offset);
    if (came.length === 2) resolve();
  }),
);
asked.request(2);
await two;
await taken(connection, {}, 6);
const after_two = came.length;
asked.request(1);
await new Promise((resolve) => asked.on("publication", resolve));
const after_three = came.length;

// A filter and a projection, changed in place while publications come.
let changed;
const shaped = await taken(
  connection,
  { where: [["metric", "=", "memory"]], select: ["metric", "value"] },
  8,
  async (subscription, n) => {
    if (n === 4) changed = await subscription.resubscribe({ where: [["metric", "=", "swap"]], select: null });
  },
);
let refusal;
try {
  await asked.resubscribe({ select: ["nope"] });
} catch (error) {
  refusal = { code: error.code, path: error.path, select: asked.options.select };
}
connection.close();

const arrow_connection = connect(url, { arrow: true });
const arrow = await taken(arrow_connection, { credit: 4, select: ["metric", "value"] }, 6);
arrow_connection.close();

console.log(
  JSON.stringify({
    window: { count: window.found.length, violations: window.counts.violations },
    asked: { after_two, after_three, violations: asked.counts.violations },
    shaped: {
      metrics: shaped.found.map(({ offset, rows }) => ({
        offset,
        metrics: rows.map(({ metric }) => metric),
        wide: "unit" in (rows[0] ?? {}),
      })),
      changed_at: changed.offset,
      violations: shaped.counts.violations,
    },
    refusal,
    arrow: {
      tables: arrow.found.map(({ table, rows }) => ({
        columns: table.schema.names,
        count: table.numRows,
        rows: rows.length,
      })),
      values: arrow.found[0].rows.map(({ value }) => typeof value),
      violations: arrow.counts.violations,
    },
  }),
);
