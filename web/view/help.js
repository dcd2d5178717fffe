import { signal } from "../vendor/vendor.js";
import { Dialog } from "./dialog.js";
import { html } from "./ui.js";

export const help_open = signal(false);

const KEYS = [
  [["Space"], "freeze what is painted, and go on; jobs and data go on meanwhile"],
  [["g", "j"], "all jobs"],
  [["g", "s"], "start a job"],
  [["f"], "follow the newest again"],
  [["↑", "↓"], "go through a job's history; each revision is compared with what holds now"],
  [["r"], "restore the revision that has the focus"],
  [["?"], "this help"],
  [["Esc"], "close a dialog"],
];

export function Help() {
  if (!help_open.value) return null;
  return html`<${Dialog} title="Help" on_close=${() => (help_open.value = false)}>
    <dl class="keys">${KEYS.map(
      ([keys, what]) => html`<div><dt>${keys.map((key) => html`<kbd key=${key}>${key}</kbd> `)}</dt>
      <dd>${what}</dd></div>`,
    )}</dl>
    <h3>What the charts tell</h3>
    <ul class="key-facts">
      <li><span class="sample mark-sample" />a change of parameters took effect from that micro-batch on</li>
      <li><span class="sample ring-sample"><i class="ring" />
        </span>an event of another output, on the line that it is about</li>
      <li><span class="sample"><i class="swatch dash-3" /></span>where two jobs are compared: the fork; the original is drawn through</li>
      <li><span class="sample gap-sample" />a gap: publications that will never come; the bar at the foot tells why, and of which stream</li>
    </ul>
    <p class="muted small">Drag over a chart to look closer; double-click, or <kbd>f</kbd>, to follow the newest again.</p>
    <p class="muted small">What is painted is frozen, never the data: what comes meanwhile is kept (bounded), and “n behind” counts it.</p>
  <//>`;
}
