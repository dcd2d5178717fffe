import { say } from "../live/announcer.js";
import { appliedChanges } from "../live/changes.js";
import { OutputFeed, RowFeed } from "../live/feeds.js";
import { difference } from "../live/format.js";
import { connection } from "../live/gateway.js";
import { ParameterBoard } from "../live/parameter_board.js";
import { signal } from "../vendor/vendor.js";

function tell({ differences, batch }) {
  say(
    `${differences.map(({ name, before, after }) => `${name} ${difference(before, after)}`).join(", ")}, applied in batch ${batch}`,
  );
}

/**
 * All that a job's page listens to, opened and closed together.
 *
 * @param {object} job @param {(output: string) => any} since from where to read each of its streams
 */
export function openJob(job, since) {
  const events = new RowFeed(`${job.id}/$events`, { capacity: 2000, since: since("$events") });
  const progress = new OutputFeed(
    job.id,
    { name: "$progress", mode: "append", key: [], time: "at" },
    { since: since("$progress") },
  );
  const outputs = job.outputs.map(
    (output) => new OutputFeed(job.id, output, { since: since(output.name), line_key: lineKey(output, job.outputs) }),
  );
  // Single events of an output are shown on the lines that they are about, too.
  for (const feed of outputs)
    feed.accents = feed.scattered
      ? []
      : outputs.filter((each) => each.scattered && each.series.key === feed.output.key);
  const board = new ParameterBoard(connection, job);
  const changes = signal([]);
  const off = events.on("change", () => {
    const found = appliedChanges(events.all());
    const before = changes.peek();
    if (found.at(-1)?.revision === before.at(-1)?.revision && found.length === before.length) return;
    if (found.at(-1)?.revision > job.revision) tell(found.at(-1)); // not what was there when the page was opened
    changes.value = found;
  });
  return {
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

/** Rows without a key of their own are told apart by that of another output, as far as they have its columns. */
function lineKey(output, outputs) {
  return output.key.length ? output.key : (outputs.find(({ key }) => key.length)?.key ?? output.key);
}
