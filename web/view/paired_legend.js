import { SIDES, switchOf, switchOfBase } from "../live/paired.js";
import { hidden_keys, toggleKey } from "./time_view.js";
import { html } from "./ui.js";

const WHOSE = { A: "original", B: "fork" };

/** Which lines of two jobs are shown: by the job, and by their key. @param {{bases: string[], accents: object[]}} props */
export function PairedLegend({ bases, accents }) {
  const hidden = hidden_keys.value;
  const one = bases.length === 1;
  return html`<div class="legend" role="group" aria-label="Lines shown">
    ${SIDES.map(
      (side, at) => html`<button type="button" key=${side} class="legend-key side-key" aria-pressed=${!hidden.has(switchOf(side))}
        onClick=${() => toggleKey(switchOf(side))}><i class="swatch ${one ? `hue-${at}` : ""} ${at ? "dash-3" : ""}" /><b>${side}</b> ${WHOSE[side]}</button>`,
    )}
    ${
      !one &&
      bases.map(
        (base, at) => html`<button type="button" key=${base} class="legend-key" aria-pressed=${!hidden.has(switchOfBase(base))}
          onClick=${() => toggleKey(switchOfBase(base))}><i class="dot-swatch hue-${at % 12}" />${base}</button>`,
      )
    }
    ${accents.map(({ output }) => html`<span class="legend-accent" key=${output.name}><i class="ring" />${output.name} of A</span>
      <span class="legend-accent" key="${output.name} B"><i class="diamond" />of B</span>`)}
  </div>`;
}
