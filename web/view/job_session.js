import { appliedChanges } from "../live/changes.js";
import { OutputFeed, RowFeed } from "../live/feeds.js";
import { connection } from "../live/gateway.js";
import { ParameterBoard } from "../live/parameter_board.js";
import { signal } from "../vendor/vendor.js";

/** All that a job's page listens to, opened and closed together. */
export function openJob(job, schema) {
  const events = new RowFeed(`${job.id}/$events`, { capacity: 2000 });
  const progress = new OutputFeed(job.id, { name: "$progress", mode: "append", key: [], time: "at" });
  const outputs = job.outputs.map((output) => new OutputFeed(job.id, output, lineKey(output, job.outputs)));
  const board = new ParameterBoard(connection, job, Object.keys(schema.properties ?? {}));
  const changes = signal([]);
  const off = events.on("change", () => {
    const found = appliedChanges(events.all());
    if (found.at(-1)?.revision !== changes.peek().at(-1)?.revision || found.length !== changes.peek().length) changes.value = found;
  });
  return {
    job: job.id,
    events,
    progress,
    outputs,
    board,
    changes,
    close() {
      off();
      board.close();
      for (const feed of [events, progress, ...outputs]) feed.close();
    },
  };
}

/** Rows without a key of their own are told apart by that of another output, when they have its columns: `keyOf` sees to it. */
function lineKey(output, outputs) {
  return output.key.length ? output.key : (outputs.find(({ key }) => key.length)?.key ?? output.key);
}
