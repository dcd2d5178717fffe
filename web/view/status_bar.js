import { duration, milliseconds, number } from "../live/format.js";
import { link, now_ms, round_trip_ms } from "../live/gateway.js";
import { figures } from "../live/jobs.js";
import { accounts } from "../live/accounts.js";
import { troubles } from "../live/streams.js";
import { useSignal } from "../vendor/vendor.js";
import { ConnectionPanel } from "./connection_panel.js";
import { html } from "./ui.js";

/** How the connection and every subscription fares. */
export function StatusBar() {
  const open = useSignal(false);
  now_ms.value; // looked at once a second
  const account = accounts();
  const live = link.value.state === "live";
  const worst = account.slowest;
  return html`<footer class="status">
    ${open.value && html`<${ConnectionPanel} account=${account} />`}
    <button type="button" class="status-bar" aria-expanded=${open.value} onClick=${() => (open.value = !open.value)}
      title="The connection and its subscriptions in detail">
      <span data-round-trip=${live ? round_trip_ms.value : ""}>
        <b>Round trip</b> ${live ? milliseconds(round_trip_ms.value) : "–"}</span>
      <span><b>Lag</b> ${live && worst ? html`<span class="wide-only">p50 ${milliseconds(worst.p50)}, </span>p95 ${milliseconds(worst.p95)}` : "–"}</span>
      <span class="wide-only"><b>Streams</b> ${account.subscriptions.length}</span>
      <span class=${account.gaps ? "warn" : ""} data-gaps=${account.gaps}>
        <b>Gaps</b> ${account.gaps}${account.missing ? ` (${number(account.missing)} missing)` : ""}</span>
      <span class="wide-only ${account.dropped ? "warn" : ""}"><b>Dropped</b> ${number(account.dropped)}</span>
      ${troubles.value.length > 0 && html`<span class="warn wide-only"><b>Not as asked</b> ${troubles.value.length}</span>`}
      ${account.violations > 0 && html`<span class="bad"><b>Out of order</b> ${account.violations}</span>`}
      <${GatewayNote} row=${figures.value} />
    </button>
  </footer>`;
}

function GatewayNote({ row }) {
  if (!row) return null;
  const clients = `${row.sessions} ${row.sessions === 1 ? "client" : "clients"}`;
  return html`<span class="wide-only"><b>Gateway</b> ${clients}, up ${duration(row.uptime_seconds)}</span>`;
}
