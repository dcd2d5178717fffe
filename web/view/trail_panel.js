import { say } from "../live/announcer.js";
import { difference, duration, time, value as shortly } from "../live/format.js";
import { now_ms } from "../live/gateway.js";
import { differencesOf } from "../live/trail.js";
import { useSignal } from "../vendor/vendor.js";
import { EFFECTS } from "./control.js";
import { SidePanel } from "./side_panel.js";
import { looked_at } from "./time_view.js";
import { html, icon } from "./ui.js";

const SHOWN = 25;
const COMPARED = 4;
const OUTCOMES = {
  proposed: "on its way",
  accepted: "waits for its batch",
  applied: "applied",
  rejected: "rejected",
  superseded: "overtaken before a batch",
  reverted: "taken back",
};

/**
 * Every change of the job's parameters, newest first: who, when, from where, what, and what came of it. One that is pointed at,
 * or has the focus, is compared with what holds now.
 *
 * @param {{board: import("../live/parameter_board.js").ParameterBoard, can_change: boolean,
 *   compared: import("../vendor/vendor.js").Signal<import("../live/trail.js").Change | undefined>}} props
 */
export function TrailPanel({ board, can_change, compared }) {
  const all = useSignal(false);
  const newest_first = board.trail.changes.value.toReversed();
  const listed = all.value ? newest_first : newest_first.slice(0, SHOWN);
  const more = newest_first.length - listed.length;
  const now = { ...board.in_force.value, word: "now" };
  const { revision: holding } = board.applied.value;
  if (holding !== now.revision) now.word = "next"; // accepted, and waits for its batch
  const reachable = listed.find(({ revision }) => revision === compared.value?.revision) ?? listed[0];
  const look = (change) => {
    compared.value = change;
    looked_at.value = change && String(change.revision);
  };
  return html`<${SidePanel} title="History" kind="trail" note=${html`<span class="revision">${newest_first.length || ""}</span>`}>
    ${
      newest_first.length < 2 &&
      html`<p class="muted small panel-empty">${icon("flag")} Change a parameter: it is kept here with who did it and what came of it, and every chart gets a mark where it took effect.</p>`
    }
    <ol class="changes" aria-label="Changes of parameters, newest first" onKeyDown=${move} onPointerLeave=${() => look(undefined)}>
      ${listed.map(
        (change) => html`<${Entry} key=${change.revision} change=${change} now=${now} holds=${change.revision === holding} look=${look}
          reachable=${change === reachable} on_restore=${can_change && isOther(change, now) ? () => board.restore(change.revision) : undefined} />`,
      )}
    </ol>
    ${more > 0 && html`<button type="button" class="button quiet small more" onClick=${() => (all.value = true)}>Show ${more} earlier</button>`}
    ${newest_first.length > 1 && html`<${Comparison} change=${compared.value} now=${now} can_change=${can_change} />`}
  <//>`;
}

function isOther({ values }, now) {
  return differencesOf(values, now.values).length > 0;
}

/** Up and down go through the list; `r` restores what has the focus. */
function move(event) {
  const entries = [...event.currentTarget.querySelectorAll(".change")];
  const entry = event.target.closest(".entry");
  const at = entries.indexOf(entry?.querySelector(".change"));
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
  if (event.key === "r" && !event.ctrlKey && !event.metaKey && !event.altKey) entry?.querySelector(".restore")?.click();
  else if (to === undefined) return;
  else entries[to]?.focus();
  event.preventDefault();
}

function Entry({ change, now, holds, look, reachable, on_restore }) {
  const { revision, batch, by, origin, at, effect, state, reason, restores, expires_at, changed, before = {} } = change;
  const names = Object.keys(changed);
  const left_seconds = (Date.parse(expires_at) - now_ms.value) / 1000;
  const look_at = () => look(change);
  const focus = () => {
    look_at();
    say(inWords(change, now));
  };
  return html`<li class="entry ${state} ${holds ? "holds" : ""}" data-revision=${revision} data-state=${state} onPointerEnter=${look_at}
      onFocusIn=${focus} onFocusOut=${() => look(undefined)}>
    <i class="entry-dot" />
    <button type="button" class="change ${looked_at.value === String(revision) ? "looked-at" : ""}" data-revision=${revision} data-batch=${batch}
      tabindex=${reachable ? 0 : -1} onClick=${look_at}>
      <span class="change-head"><span class="change-flag">r${revision}</span>${holds && html`<span class="entry-now">holds now</span>`}
        <span class="entry-outcome">${OUTCOMES[state]}${batch !== undefined && state === "applied" ? `, batch ${batch}` : ""}</span></span>
      <span class="change-what">
        ${restores !== undefined && html`<span class="entry-restores">Brings back revision ${restores}</span>`}
        ${names.map(
          (name) => html`<span class="change-line" key=${name}><b>${name}</b> ${difference(before[name], changed[name])}</span>`,
        )}
        ${!names.length && html`<span class="change-line">${revision === 1 ? "What the job was started with" : "From a new checkpoint"}</span>`}
        ${effect && effect !== "live" && revision > 1 && html`<span><span class="effect ${effect}" title=${EFFECTS[effect].told}>${EFFECTS[effect].word}</span></span>`}
        ${reason && html`<span class="entry-reason">${reason}</span>`}
        ${holds && left_seconds > 0 && html`<span class="state expires">${icon("clock")}Goes back in ${duration(left_seconds)}</span>`}
        <span class="muted">${[time(at), by, origin].filter(Boolean).join(" · ")}</span>
      </span>
    </button>
    ${
      on_restore &&
      html`<button type="button" class="button small restore" tabindex=${reachable ? 0 : -1} title="Bring these values back (r)"
        aria-label="Restore revision ${revision}" onClick=${on_restore}>Restore</button>`
    }
  </li>`;
}

/** A revision beside what holds now. */
function Comparison({ change, now, can_change }) {
  if (!change) {
    return html`<div class="comparison"><p class="muted">Point at a revision, or go through them with <kbd>↓</kbd>, to compare it with what
      holds now.${can_change ? html` <kbd>r</kbd> restores it.` : ""}</p></div>`;
  }
  const differences = differencesOf(now.values, change.values);
  if (!differences.length)
    return html`<div class="comparison" data-revision=${change.revision}><p class="muted">${inWords(change, now)}</p></div>`;
  const listed = differences.length > COMPARED ? differences.slice(0, COMPARED - 1) : differences;
  const more = differences.length - listed.length;
  return html`<div class="comparison" data-revision=${change.revision}><table>
    <thead><tr><th scope="col">parameter</th><th scope="col">r${change.revision}</th><th scope="col">${now.word}, r${now.revision}</th></tr></thead>
    <tbody>${listed.map(
      ({ name, before, after }) => html`<tr key=${name}><th scope="row">${name}</th>
        <td title=${shortly(after)}>${shortly(after)}</td><td title=${shortly(before)}>${shortly(before)}</td></tr>`,
    )}</tbody>
  </table>${more > 0 && html`<p class="muted">and ${more} more that differ</p>`}</div>`;
}

function inWords(change, now) {
  const differences = differencesOf(now.values, change.values);
  if (change.revision === now.revision) return now.word === "now" ? `Revision ${now.revision} holds now.` : `Revision ${now.revision} waits for its batch.`;
  if (!differences.length) return `The values of revision ${change.revision} are those that hold now.`;
  const told = differences.map(({ name, before, after }) => `${name} ${shortly(after)}, ${now.word} ${shortly(before)}`);
  return `Revision ${change.revision} has ${told.join("; ")}`;
}
