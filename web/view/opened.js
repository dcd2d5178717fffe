import { connection } from "../live/gateway.js";
import { startingPoints } from "../live/history.js";
import { Problem } from "../live/rest.js";
import { batch, useEffect, useSignal } from "../vendor/vendor.js";
import { openJob } from "./job_session.js";
import { hidden_keys, looked_at, pinned, pointed_key } from "./time_view.js";

/**
 * What the page of a job listens to, while it is shown.
 *
 * @param {object} job @param {{schema?: object, side?: string}} [options] as `openJob` takes them
 * @returns {{page?: ReturnType<typeof openJob>, fault: string}} no page while it is being opened
 */
export function useOpened(job, options = {}) {
  const opened = useSignal(undefined);
  const fault = useSignal("");
  useEffect(() => {
    let left = false;
    const open = async () => {
      try {
        const since = await startingPoints(job.id);
        if (!left && !opened.peek()) opened.value = openJob(job, { since, ...options });
      } catch (error) {
        // Without a gateway (TypeError) there is nothing to tell here: when it is back, this is tried again.
        if (error instanceof Problem) fault.value = `The gateway does not say what it holds: ${error.message}`;
      }
    };
    open();
    const off = connection.on("welcome", () => opened.peek() || open());
    return () => {
      left = true;
      off();
      opened.peek()?.close();
      batch(() => {
        pinned.value = pointed_key.value = looked_at.value = undefined;
        hidden_keys.value = new Set();
      });
    };
  }, [job.id]);
  return { page: opened.value, fault: fault.value };
}
