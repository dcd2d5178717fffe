import { useRef } from "../vendor/vendor.js";
import { html } from "./ui.js";

/** Where the panels stand above the charts instead of beside them, they begin folded up. */
const NARROW = "(max-width: 1023px)";

/** A panel that can be folded up. @param {{title: string, note?: any, kind?: string, children: any}} props */
export function SidePanel({ title, note, kind = "", children }) {
  const open = useRef(!matchMedia(NARROW).matches).current;
  return html`<details class="card panel ${kind}" open=${open}>
    <summary class="panel-head"><h2>${title}</h2>${note}</summary>
    <div class="panel-body">${children}</div>
  </details>`;
}
