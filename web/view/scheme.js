import { signal } from "../vendor/vendor.js";

const KEY = "rivulet.scheme";
const SCHEMES = ["auto", "light", "dark"];

/** The colour scheme: `auto` follows the system. */
export const scheme = signal(SCHEMES.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "auto");
/** Counts changes of the colours in force, from here or from the system: what is drawn on canvas is drawn anew. */
export const colours = signal(0);

function apply() {
  if (scheme.value === "auto") delete document.documentElement.dataset.scheme;
  else document.documentElement.dataset.scheme = scheme.value;
  colours.value += 1;
}

/** Go on to the next scheme. */
export function nextScheme() {
  scheme.value = SCHEMES[(SCHEMES.indexOf(scheme.value) + 1) % SCHEMES.length];
  localStorage.setItem(KEY, scheme.value);
  apply();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (colours.value += 1));
apply();

const probe = document.createElement("span");
probe.hidden = true;
document.documentElement.append(probe);

/** The value that a colour variable has in the scheme in force, as canvas understands it. @param {string} name `--line` */
export function colour(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
