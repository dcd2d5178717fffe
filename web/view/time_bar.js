import { pace_ms } from "../live/pace.js";
import { follow, pinned, window_seconds } from "./time_view.js";
import { html, icon } from "./ui.js";

const WINDOWS = [
  [30, "30 s"],
  [120, "2 min"],
  [300, "5 min"],
  [900, "15 min"],
];

const PACES = [
  [0, "each batch"],
  [1000, "every 1 s"],
  [5000, "every 5 s"],
  [15_000, "every 15 s"],
];

/** Which stretch of time the charts show, and how often at most what is new comes. */
export function TimeBar() {
  return html`<div class="time-bar">
    <div class="segments" role="group" aria-label="Window of time">
      ${WINDOWS.map(
        ([
          seconds,
          label,
        ]) => html`<button type="button" key=${seconds} aria-pressed=${!pinned.value && window_seconds.value === seconds}
        onClick=${() => {
          window_seconds.value = seconds;
          follow();
        }}>${label}</button>`,
      )}
    </div>
    <label class="pace" title="How often at most the gateway sends what is new">Update<select
      value=${String(pace_ms.value)} onChange=${(event) => (pace_ms.value = Number(event.target.value))}>
      ${PACES.map(([ms, label]) => html`<option key=${ms} value=${ms}>${label}</option>`)}</select></label>
    ${pinned.value && html`<button type="button" class="button small on" onClick=${follow}>${icon("follow")}Follow the newest</button>`}
  </div>`;
}
