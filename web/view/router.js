import { signal } from "../vendor/vendor.js";

const TABS = ["data", "progress", "logs", "events"];

/**
 * @returns {{view: "jobs"} | {view: "job", job: string, tab: string} | {view: "run", function?: string}
 *   | {view: "compare", job: string, fork?: string}}
 */
export function parse(hash) {
  const [view, first, second] = hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  if (view === "jobs" && first) return { view: "job", job: first, tab: TABS.includes(second) ? second : "data" };
  if (view === "run") return { view: "run", function: first || undefined };
  if (view === "compare" && first) return { view: "compare", job: first, fork: second || undefined };
  return { view: "jobs" };
}

/** What is shown; the address's hash says it, so that a link leads back to it. */
export const route = signal(parse(location.hash));

let heading_due = false;

/** Whether the page has changed, so that its heading is to have the focus, for whoever cannot see that it is another. Asked once. */
export function takeHeadingDue() {
  const due = heading_due;
  heading_due = false;
  return due;
}

window.addEventListener("hashchange", () => {
  const before = route.peek();
  route.value = parse(location.hash);
  // A tab is part of the page; another page starts at its top.
  if (before.view === route.peek().view && before.job === route.peek().job && before.fork === route.peek().fork) return;
  window.scrollTo(0, 0);
  heading_due = true;
});

export const hrefs = {
  jobs: "#/jobs",
  job: (key, tab = "") => `#/jobs/${encodeURIComponent(key)}${tab ? `/${tab}` : ""}`,
  compare: (key, fork = "") => `#/compare/${encodeURIComponent(key)}${fork ? `/${encodeURIComponent(fork)}` : ""}`,
  run: (name = "") => `#/run${name ? `/${encodeURIComponent(name)}` : ""}`,
};

export const tabs = TABS;
