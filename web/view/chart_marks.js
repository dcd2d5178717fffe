import { difference } from "../live/format.js";
import { looked_at } from "./time_view.js";

/** What a flag needs; one that names its job needs more. */
const FLAG_PX = 26;
const SIDED_FLAG_PX = 44;

/**
 * The applied marks over one chart: a line at the micro-batch from which a change of parameters took effect. They are told
 * to everyone else by the list of changes beside the charts, so here they are for the pointer only.
 */
export class ChartMarks {
  #layer = document.createElement("div");
  #elements = new Map();
  #before_looking;

  /** @param {HTMLElement} over uPlot's plotting area */
  constructor(over) {
    this.#layer.className = "marks";
    over.append(this.#layer);
    this.#before_looking = looked_at.subscribe((key) => {
      for (const [own, element] of this.#elements) element.classList.toggle("looked-at", own === key);
    });
  }

  dispose() {
    this.#before_looking();
    this.#layer.remove();
  }

  /**
   * @param {import("../live/changes.js").AppliedChange[]} changes
   * @param {(change: import("../live/changes.js").AppliedChange) => number | undefined} xOf @param {(x: number) => number} toPx @param {number} width_px
   */
  place(changes, xOf, toPx, width_px) {
    const shown = new Set();
    let last_px = Infinity;
    for (const change of [...changes].reverse()) {
      const x = xOf(change);
      const at_px = x === undefined ? -1 : toPx(x);
      if (at_px < 0 || at_px > width_px) continue;
      shown.add(change.key);
      const element = this.#elements.get(change.key) ?? this.#make(change);
      element.style.transform = `translateX(${at_px.toFixed(1)}px)`;
      const flag_px = change.side ? SIDED_FLAG_PX : FLAG_PX;
      const outside = at_px > width_px - flag_px; // there the flag flies to the other side
      element.classList.toggle("crowded", last_px - at_px < flag_px + (outside ? -flag_px : 0));
      element.classList.toggle("outside", outside);
      element.classList.toggle("leftwards", at_px > width_px - 220);
      if (!element.classList.contains("crowded")) last_px = at_px - (outside ? flag_px : 0);
    }
    for (const [key, element] of this.#elements) {
      if (shown.has(key)) continue;
      element.remove();
      this.#elements.delete(key);
    }
  }

  #make({ key, revision, batch, by, differences, side }) {
    const mark = node("div", "mark");
    mark.dataset.revision = revision;
    mark.dataset.batch = batch;
    if (side) mark.dataset.side = side;
    const card = node("div", "mark-card");
    card.append(node("strong", "", `${side && `${side}: `}Revision ${revision} · batch ${batch}`), node("span", "mark-by", `by ${by}`));
    for (const { name, before, after } of differences) {
      const line = node("span", "mark-line");
      line.append(node("span", "mark-name", name), node("span", "", difference(before, after)));
      card.append(line);
    }
    mark.append(node("span", "mark-flag", `${side && `${side} `}r${revision}`), card);
    mark.addEventListener("pointerenter", () => (looked_at.value = key));
    mark.addEventListener("pointerleave", () => (looked_at.value = undefined));
    this.#elements.set(key, mark);
    this.#layer.append(mark);
    return mark;
  }
}

function node(name, class_name, text) {
  const element = document.createElement(name);
  if (class_name) element.className = class_name;
  if (text !== undefined) element.textContent = text;
  return element;
}
