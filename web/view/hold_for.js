import { useId, useSignal } from "../vendor/vendor.js";
import { useTyped } from "./typed.js";
import { html } from "./ui.js";

const MINUTES = 5;
const MOST_MINUTES = 525_600; // a year, as the protocol allows

/** Whether what is changed here holds for good, or goes back by itself. @param {{board: import("../live/parameter_board.js").ParameterBoard}} props */
export function HoldFor({ board }) {
  const id = useId();
  const minutes = useSignal(MINUTES);
  const on = board.hold_minutes.value !== undefined;
  const typed = useTyped(minutes.value, (text) => {
    const given = Number(text);
    if (given > 0 && given <= MOST_MINUTES) minutes.value = given;
    if (board.hold_minutes.peek() !== undefined) board.hold_minutes.value = minutes.value;
  });
  const toggle = () => (board.hold_minutes.value = on ? undefined : minutes.value);
  return html`<div class="hold-for ${on ? "on" : ""}">
    <button type="button" role="switch" class="switch" id=${id} aria-checked=${on} onClick=${toggle}><i /></button>
    <label for=${id}>For a time only</label>
    <span class="boxed"><input class="number" type="text" inputmode="numeric" autocomplete="off" aria-label="Minutes that a change holds"
      ...${typed} /><span class="unit" aria-hidden="true">min</span></span>
    ${on && html`<p class="about">What you change now goes back by itself after ${minutes.value} min.</p>`}
  </div>`;
}
