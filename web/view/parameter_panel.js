import { value as shortly } from "../live/format.js";
import { now_ms } from "../live/gateway.js";
import { fieldsOf, groupsOf } from "../live/schema.js";
import { Control } from "./control.js";
import { SidePanel } from "./side_panel.js";
import { html, icon } from "./ui.js";

const FLASH_MS = 4000;

/**
 * The parameters of a running job, as controls that steer it.
 *
 * @param {{board: import("../live/parameter_board.js").ParameterBoard, schema: object, can_change: boolean, reason: string}} props
 */
export function ParameterPanel({ board, schema, can_change, reason }) {
  const groups = groupsOf(fieldsOf(schema));
  const shown = board.shown.value;
  const { revision } = board.in_force.value;
  const in_force = html`<span class="revision" data-revision=${revision}
    title="The revision that the newest micro-batch was computed under">revision ${revision}</span>`;
  return html`<${SidePanel} title="Parameters" note=${in_force}>
    ${!groups.length && html`<p class="muted small panel-empty">This function declares no parameters.</p>`}
    ${!can_change && groups.length > 0 && html`<p class="muted small panel-empty">${reason}</p>`}
    ${groups.map(
      ({ group, fields }) => html`<div class="group" key=${group}>
        ${group && !(fields.length === 1 && fields[0].title === group) && html`<h3 class="group-title">${group}</h3>`}
        ${fields.map(
          (field) =>
            html`<${Steered} key=${field.name} field=${field} board=${board} value=${shown[field.name]} can_change=${can_change} />`,
        )}
      </div>`,
    )}
    ${board.fault.value && html`<p class="fault" role="alert">${board.fault.value}</p>`}
  <//>`;
}

function Steered({ field, board, value, can_change }) {
  const status = board.status.value[field.name];
  const in_force = board.in_force.value.values[field.name];
  const flash = status?.by && now_ms.value - status.at_ms < FLASH_MS;
  const refused = status?.state === "refused";
  return html`<${Control} field=${field} value=${value} disabled=${!can_change || !field.live}
    fault=${refused ? status.reason : undefined}
    tone=${`${status?.state ?? ""} ${flash ? "flash" : ""}`} on_change=${(next) => board.change(field.name, next)}
    note=${html`<${Note} field=${field} status=${status} in_force=${in_force} on_discard=${() => board.discard(field.name)} />`} />`;
}

/** What became of the last change. */
function Note({ field, status, in_force, on_discard }) {
  if (!status) return field.live ? null : html`<span class="state fixed">Fixed while the job runs</span>`;
  const { state, revision, batch, by } = status;
  const who = by ? ` by ${by}` : "";
  return html`<span class="state ${state}" data-state=${state} data-revision=${revision} data-batch=${batch}>
    ${state === "pending" && html`<i class="spinner" />Sending`}
    ${state === "accepted" && html`<i class="spinner" />Accepted${who} as revision ${revision}, applies with the next batch`}
    ${state === "applied" && html`${icon("check")}Applied${who}: revision ${revision}${batch === undefined ? "" : `, batch ${batch}`}`}
    ${
      state === "refused" &&
      html`In force: ${shortly(in_force)}
      <button type="button" class="link" onClick=${on_discard}>Go back to it</button>`
    }
  </span>`;
}
