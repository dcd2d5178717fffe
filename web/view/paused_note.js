import { time } from "../live/format.js";
import { html, icon } from "./ui.js";

/**
 * What it means that a job is paused, and how it goes on.
 *
 * @param {{job: object, board: import("../live/parameter_board.js").ParameterBoard, can_change: boolean}} props
 */
export function PausedNote({ job, board, can_change }) {
  if (job.state !== "paused") return null;
  const on_demand = board.in_force.value.values.$paused === true;
  const by = board.trail.changes.value.findLast(({ changed }) => changed.$paused === true);
  const who = by ? ` by ${by.by} at ${time(by.at)}` : "";
  return html`<div class="paused-note" role="status">
    ${icon("pause")}<p><b>${on_demand ? `Paused${who}.` : `Paused${job.reason ? `: ${job.reason}` : ""}.`}</b> Spark rests; the job goes on from where
      it was.</p>
    ${
      on_demand && can_change
        ? html`<button type="button" class="button small" onClick=${() => board.change("$paused", false)}>${icon("play")}Let the job go on</button>`
        : null
    }
  </div>`;
}
