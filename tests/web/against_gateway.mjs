// Run by a test in Python with the address of a real gateway: what the client sees and does there, as one line of JSON.
import { connect } from "../../web/client/index.js";

const [url] = process.argv.slice(2);
const connection = connect(url, {});
const once = (emitter, name, wanted = () => true) =>
  new Promise((resolve) => {
    const off = emitter.on(name, (detail) => {
      if (!wanted(detail)) return;
      off();
      resolve(detail);
    });
  });

const seen = [];
const metrics = connection.subscribe("host_metrics/metrics", { since: "earliest", overflow: "drop_oldest" });
metrics.on("publication", ({ offset, revision, batch, rows }) =>
  seen.push({ offset, revision, batch, rows: rows.length }),
);
await once(metrics, "publication");
const { values } = await connection.getParameters("host_metrics");
const threshold = values.threshold === 5 ? 4 : 5;
const accepted = once(
  connection,
  "parameters",
  ({ state, changed }) => state === "applied" && changed.threshold === threshold,
);
const reply = await connection.setParameters("host_metrics", { threshold });
const applied = await accepted;
await once(metrics, "publication", ({ batch }) => batch >= applied.batch);
let refusal;
try {
  await connection.setParameters("host_metrics", { threshold: 99 });
} catch (error) {
  refusal = { code: error.code, faults: error.faults };
}
await connection.unsubscribe(metrics);
connection.close();
console.log(
  JSON.stringify({ seen, reply: reply.revision, applied, refusal, counts: metrics.counts, state: metrics.state }),
);
