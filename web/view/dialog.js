import { useEffect, useId, useRef } from "../vendor/vendor.js";
import { html, icon } from "./ui.js";

/** A modal dialog; the browser keeps the focus inside and closes it on `Esc`. */
export function Dialog({ title, on_close, children }) {
  const element = useRef();
  const id = useId();
  useEffect(() => {
    const dialog = element.current;
    dialog.showModal();
    return () => dialog.close(); // the browser gives the focus back then, and not again where `Esc` has done it already
  }, []);
  return html`<dialog ref=${element} class="dialog" aria-labelledby=${id} onClose=${on_close}
    onClick=${(event) => event.target === element.current && on_close()}>
    <div class="dialog-inner">
      <header><h2 id=${id}>${title}</h2>
        <button type="button" class="button quiet small" aria-label="Close" onClick=${on_close}>${icon("close")}</button>
          </header>
      ${children}
    </div>
  </dialog>`;
}
