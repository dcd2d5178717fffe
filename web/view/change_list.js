import { difference, time } from "../live/format.js";
import { SidePanel } from "./side_panel.js";
import { looked_at } from "./time_view.js";
import { html, icon } from "./ui.js";

const SHOWN = 12;

/** The applied changes in words: what the marks on the charts show, for the keyboard and for a screen reader too. */
export function ChangeList({ changes }) {
  const newest_first = changes.value.slice(-SHOWN).reverse();
  return html`<${SidePanel} title="Changes" note=${html`<span class="revision">${changes.value.length || ""}</span>`}>
    ${
      !newest_first.length &&
      html`<p class="muted small panel-empty">${icon("flag")} Change a parameter: every chart gets a mark at the micro-batch where it took effect.</p>`
    }
    <ol class="changes">${newest_first.map((change) => html`<${Change} key=${change.revision} change=${change} />`)}</ol>
  <//>`;
}

function Change({ change }) {
  const { revision, batch, by, at, differences } = change;
  const look = () => (looked_at.value = revision);
  const leave = () => (looked_at.value = undefined);
  return html`<li>
    <button type="button" class="change ${looked_at.value === revision ? "looked-at" : ""}" data-revision=${revision}
      data-batch=${batch}
    onPointerEnter=${look} onPointerLeave=${leave} onFocus=${look} onBlur=${leave}>
    <span class="change-flag">r${revision}</span>
    <span class="change-what">${differences.map(
      ({ name, before, after }) =>
        html`<span class="change-line" key=${name}><b>${name}</b> ${difference(before, after)}</span>`,
    )}<span class="muted">batch ${batch} · ${time(at)} · ${by}</span></span>
  </button></li>`;
}
