import { value as shortly } from "../live/format.js";
import { Dialog } from "./dialog.js";
import { html } from "./ui.js";

/** Asks before a change that makes the job give up its state. @param {{board: import("../live/parameter_board.js").ParameterBoard}} props */
export function ResetDialog({ board }) {
  const { values, revision, detail } = board.asking.value;
  const what =
    revision === undefined
      ? Object.entries(values).map(([name, value]) => html`<li key=${name}><code>${name}</code> → ${shortly(value)}</li>`)
      : html`<li>the values of revision ${revision}</li>`;
  const leave = () => board.asking.peek() && board.answer(false);
  return html`<${Dialog} title="Start the job afresh?" on_close=${leave}>
    <ul class="reset-what">${what}</ul>
    <p>The job cannot keep what it has saved under this change. It begins from a new checkpoint: counts and windows that are
      open start from nothing, and everyone who watches sees the numbering begin anew.</p>
    <p class="muted small">${detail}</p>
    <div class="dialog-actions">
      <button type="button" class="button" onClick=${leave}>Leave it as it is</button>
      <button type="button" class="button danger" onClick=${() => board.answer(true)}>Start afresh</button>
    </div>
  <//>`;
}
