import { duration, value as shortly } from "../live/format.js";
import { now_ms } from "../live/gateway.js";
import { fieldsOf, groupsOf } from "../live/schema.js";
import { expiries } from "../live/trail.js";
import { Control, Effect } from "./control.js";
import { HoldFor } from "./hold_for.js";
import { ResetDialog } from "./reset_dialog.js";
import { SidePanel } from "./side_panel.js";
import { html, icon } from "./ui.js";

const FLASH_MS = 4000;

/** How the switch that every job has is told from pausing what is painted. */
const PAUSED = {
  title: "Pause the job",
  description: "Spark rests, and goes on later from where it was. (“Freeze”, at the top, only stops painting here.)",
};
/** The group of what every job has, whoever wrote it. */
const OWN_GROUP = "Job";

/**
 * The parameters of a running job, as controls that steer it.
 *
 * @param {{board: import("../live/parameter_board.js").ParameterBoard, can_change: boolean, reason: string, title?: string,
 *   differing?: Set<string>, compared?: Set<string>}} props `differing`: parameters that another job has otherwise;
 *   `compared`: those that are otherwise in the revision that is being looked at
 */
export function ParameterPanel({ board, can_change, reason, title = "Parameters", differing, compared }) {
  const groups = groupsOf(fieldsOf(board.schema.value)).sort(
    (a, b) => (a.group === OWN_GROUP) - (b.group === OWN_GROUP),
  );
  const shown = board.shown.value;
  const { revision } = board.applied.value;
  const until = expiries(board.trail.changes.value, now_ms.value);
  const in_force = html`<span class="revision" data-revision=${revision}
    title="The revision that the newest micro-batch was computed under">revision ${revision}</span>`;
  return html`<${SidePanel} title=${title} kind="parameters" note=${in_force}>
    ${!groups.length && html`<p class="muted small panel-empty">This function declares no parameters.</p>`}
    ${!can_change && groups.length > 0 && html`<p class="muted small panel-empty">${reason}</p>`}
    ${can_change && groups.length > 0 && html`<${HoldFor} board=${board} />`}
    ${board.fault.value && html`<p class="fault" role="alert">${board.fault.value}</p>`}
    ${groups.map(
      ({ group, fields }) => html`<div class="group" key=${group} data-group=${group}>
        ${group && !(fields.length === 1 && fields[0].title === group) && html`<${GroupTitle} group=${group} fields=${fields} />`}
        ${fields.map(
          (field) =>
            html`<${Steered} key=${field.name} field=${field.name === "$paused" ? { ...field, ...PAUSED } : field} board=${board}
              value=${shown[field.name]} can_change=${can_change} alike=${isAlike(fields)} expires_at=${until[field.name]}
              differs=${differing?.has(field.name)} compared=${compared?.has(field.name)} />`,
        )}
      </div>`,
    )}
    ${board.asking.value && html`<${ResetDialog} board=${board} />`}
  <//>`;
}

/** Whether all parameters of a group have the same effect: then its title tells, and not each of them again. */
function isAlike(fields) {
  return fields.length > 1 && fields[0].group !== "" && fields.every(({ effect }) => effect === fields[0].effect);
}

function GroupTitle({ group, fields }) {
  return html`<h3 class="group-title">${group}${isAlike(fields) && html`<${Effect} effect=${fields[0].effect} />`}</h3>`;
}

function Steered({ field, board, value, can_change, alike, expires_at, differs = false, compared = false }) {
  const status = board.status.value[field.name];
  const in_force = board.in_force.value.values[field.name];
  const flash = status?.by && now_ms.value - status.at_ms < FLASH_MS;
  const refused = status?.state === "refused";
  const rejected = status?.state === "rejected";
  const tone = [status?.state ?? "", flash && "flash", differs && "differs", compared && "compared"].filter(Boolean);
  const told = status || expires_at || differs;
  return html`<${Control} field=${field} value=${value} disabled=${!can_change} untold=${alike}
    fault=${refused || rejected ? status.reason : undefined} invalid=${refused}
    tone=${tone.join(" ")} on_change=${(next) => board.change(field.name, next)}
    note=${
      told &&
      html`${differs && html`<span class="state differing">Differs</span>`}
      <${Note} field=${field} status=${status} in_force=${in_force} on_discard=${() => board.discard(field.name)} />
      ${expires_at && html`<${Expires} at=${expires_at} />`}`
    } />`;
}

/** How long a value still holds that goes back by itself. */
export function Expires({ at }) {
  const left_seconds = (Date.parse(at) - now_ms.value) / 1000;
  return html`<span class="state expires" data-expires=${at}>${icon("clock")}Goes back in ${duration(left_seconds)}</span>`;
}

const UNTIL_APPLIED = {
  restart: "the query restarts with it",
  reset: "the job begins anew with it",
};

/** What became of the last change. */
function Note({ field, status, in_force, on_discard }) {
  if (!status) return null;
  const { state, revision, batch, effect, by } = status;
  const who = by ? ` by ${by}` : "";
  return html`<span class="state ${state}" data-state=${state} data-revision=${revision} data-batch=${batch}>
    ${state === "pending" && html`<i class="spinner" />Sending`}
    ${state === "asking" && html`${icon("help")}Waits for your answer`}
    ${state === "accepted" && html`<i class="spinner" />Accepted${who} as revision ${revision}, ${UNTIL_APPLIED[effect ?? field.effect] ?? "applies with the next batch"}`}
    ${state === "applied" && html`${icon("check")}Applied${who}: revision ${revision}${batch === undefined ? "" : `, batch ${batch}`}`}
    ${
      state === "refused" &&
      html`In force: ${shortly(in_force)}
      <button type="button" class="link" onClick=${on_discard}>Go back to it</button>`
    }
    ${
      state === "rejected" &&
      html`${icon("warning")}Revision ${revision}${who} was rejected; ${shortly(in_force)} holds
      <button type="button" class="link" onClick=${on_discard}>Understood</button>`
    }
  </span>`;
}
