import { Connection, ConnectionLost, ConnectionState } from "../client/index.js";
import { computed, signal } from "../vendor/vendor.js";
import { say } from "./announcer.js";
import { Problem, getSession, login as postLogin, logout as postLogout } from "./rest.js";

/**
 * What the connection looks like to the user.
 * @type {import("../vendor/vendor.js").Signal<{state: "connecting" | "live" | "reconnecting" | "offline" | "unauthorised",
 *   reason?: string, retry_at_ms?: number, code?: number}>}
 */
export const link = signal({ state: "connecting" });
/** Who we are to the gateway, once known. */
export const session = signal(undefined);
/** Ticks once a second: for countdowns, uptimes, and figures that need no more. */
export const now_ms = signal(Date.now());
export const round_trip_ms = signal(undefined);
export const may = (right) => computed(() => session.value?.rights?.includes(right) ?? false);

export const connection = new Connection({ url: new URL("/ws", location.href.replace(/^http/, "ws")).href });

let was_live = false;

/** Find out whether we are logged in, then connect; a gateway that is not there is waited for. */
export async function start() {
  try {
    session.value = await getSession();
  } catch (error) {
    if (error instanceof Problem && error.status === 401) {
      link.value = { state: "unauthorised" };
      return;
    }
    // No gateway, or one that fails: connecting tells the user, and goes on trying.
  }
  connection.open();
}

/** @param {string} token rejects with Problem where it is not a good one */
export async function login(token) {
  session.value = await postLogin(token);
  session.value ??= await getSession();
  link.value = { state: "connecting" };
  connection.open();
}

export async function logout() {
  connection.close();
  await postLogout();
  session.value = undefined;
  link.value = { state: "unauthorised" };
}

connection.on("state", async ({ state, code, reason, retry_in_ms }) => {
  if (state === ConnectionState.LIVE) {
    if (was_live) say("Connected again; data is live");
    was_live = true;
    link.value = { state: "live" };
    if (!session.peek()) await askWhoWeAre();
  } else if (state === ConnectionState.WAITING) {
    if (link.peek().state === "live") say("The connection to the gateway was lost; trying again");
    link.value = {
      state: navigator.onLine ? "reconnecting" : "offline",
      code,
      reason,
      retry_at_ms: Date.now() + retry_in_ms,
    };
    await askWhoWeAre();
  } else if (state === ConnectionState.CLOSED && code >= 4500) {
    session.value = undefined;
    link.value = { state: "unauthorised", code, reason };
  } else if (state === ConnectionState.CONNECTING && link.peek().state === "connecting") {
    link.value = { state: "connecting" };
  }
});

/** A browser does not tell why a handshake failed (always 1006): the REST API does, where we are not logged in any more. */
async function askWhoWeAre() {
  try {
    session.value = await getSession();
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) return; // not there: the connection goes on trying
    connection.close();
    link.value = { state: "unauthorised", reason: error.message };
  }
}

connection.on("round_trip", (value_ms) => (round_trip_ms.value = value_ms));
connection.on("error", (error) => console.error("The gateway refused a command without an id:", error));

/** A command that the user asked for; what went wrong is a sentence to show. */
export function explain(error) {
  return error instanceof ConnectionLost
    ? "Not connected to the gateway: try again when the connection is live."
    : error.message;
}

window.addEventListener("online", () => connection.retryNow());
window.addEventListener("offline", () => {
  if (link.peek().state === "reconnecting") link.value = { ...link.peek(), state: "offline" };
});
setInterval(() => (now_ms.value = Date.now()), 1000);
