import { say } from "../live/announcer.js";
import { appliedChanges } from "../live/changes.js";
import { OutputFeed, RowFeed } from "../live/feeds.js";
import { difference } from "../live/format.js";
import { connection } from "../live/gateway.js";
import { ParameterBoard } from "../live/parameter_board.js";
import { computed, effect } from "../vendor/vendor.js";

function tell({ differences, batch }) {
  say(
    `${differences.map(({ name, before, after }) => `${name} ${difference(before, after)}`).join(", ")}, applied in batch ${batch}`,
  );
}

/**
 * All that a job's page listens to, opened and closed together.
 *
 * @param {object} job @param {{since: (output: string) => any, schema?: object, side?: string}} options `since`: from where to read
 *   each of its streams; `side`: how its marks are called where two jobs are compared
 */
export function openJob(job, { since, schema, side = "" }) {
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
  const board = new ParameterBoard(connection, job, schema);
  board.refresh();
  const changes = computed(() => appliedChanges(board.trail.changes.value, side));
  let newest; // what was there when the page was opened is no news
  const off = effect(() => {
    const last = changes.value.at(-1);
    if (newest !== undefined && last?.revision > newest) tell(last);
    if (board.trail.known.value) newest = last?.revision ?? 0;
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
