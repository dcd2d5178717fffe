import { connection, explain, may } from "../live/gateway.js";
import { isFinal } from "../live/jobs.js";
import { useSignal } from "../vendor/vendor.js";
import { Dialog } from "./dialog.js";
import { html, icon } from "./ui.js";

const canRun = may("run");

/** Stops a job, after asking. */
export function StopButton({ job, small = false, what = "Stop" }) {
  const asking = useSignal(false);
  const busy = useSignal(false);
  const fault = useSignal("");
  if (isFinal(job) || !canRun.value) return null;
  const stop = async () => {
    busy.value = true;
    try {
      await connection.stop(job.id);
      asking.value = false;
    } catch (error) {
      fault.value = explain(error);
    }
    busy.value = false;
  };
  const ask = () => {
    fault.value = "";
    asking.value = true;
  };
  return html`<button type="button" class="button ${small ? "small quiet" : ""} stop" onClick=${ask}
    disabled=${job.state === "cancelling"}
      aria-label="${what} ${job.name}">${icon("stop")}${what}</button>
    ${
      asking.value &&
      html`<${Dialog} title="Stop ${job.name}?" on_close=${() => (asking.value = false)}>
      <p>The running micro-batch ends first. Everyone who watches this job sees it end; its results stay readable until the gateway forgets them.</p>
      ${fault.value && html`<p class="fault" role="alert">${fault.value}</p>`}
      <div class="dialog-actions">
        <button type="button" class="button" onClick=${() => (asking.value = false)}>Let it run</button>
        <button type="button" class="button danger" disabled=${busy.value}
          onClick=${stop}>${busy.value ? "Stopping …" : "Stop the job"}</button>
      </div>
    <//>`
    }`;
}
