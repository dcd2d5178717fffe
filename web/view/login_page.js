import { link, login } from "../live/gateway.js";
import { Problem } from "../live/rest.js";
import { useSignal } from "../vendor/vendor.js";
import { Wordmark } from "./header.js";
import { html } from "./ui.js";

/** Shown where the gateway wants a token. */
export function LoginPage() {
  const token = useSignal("");
  const fault = useSignal("");
  const busy = useSignal(false);
  const submit = async (event) => {
    event.preventDefault();
    busy.value = true;
    fault.value = "";
    try {
      await login(token.value.trim());
    } catch (error) {
      fault.value =
        error instanceof Problem
          ? `The gateway refuses this token: ${error.message}.`
          : "The gateway does not answer: is it running?";
    }
    busy.value = false;
  };
  const { code, reason } = link.value;
  return html`<main class="login" id="main">
    <form class="card" onSubmit=${submit}>
      <${Wordmark} />
      <h1 tabindex="-1">Log in</h1>
      <p class="muted">This gateway wants a token. Whoever runs it makes one with <code>rivulet token new</code>.</p>
      ${code >= 4500 && html`<p class="fault banner" role="status">Logged out: ${reason || `code ${code}`}.</p>`}
      <label for="token">Token</label>
      <input id="token" class="wide" type="password" autocomplete="current-password" required value=${token.value}
        aria-invalid=${fault.value ? "true" : undefined} aria-describedby="token-fault"
          onInput=${(event) => (token.value = event.target.value)} />
      <p class="fault" id="token-fault" role="alert">${fault.value}</p>
      <button type="submit" class="button primary" disabled=${busy.value}>${busy.value ? "Asking …" : "Log in"}</button>
    </form>
  </main>`;
}
