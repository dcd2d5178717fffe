import { quantity } from "../live/format.js";
import { painter, paused } from "../live/painting.js";
import { effect } from "../vendor/vendor.js";
import { ChartMarks } from "./chart_marks.js";
import { makePlot, span } from "./chart_plot.js";
import { ChartTooltip } from "./chart_tooltip.js";
import { colours } from "./scheme.js";
import { hidden_keys, pinned, pointed_key, window_seconds } from "./time_view.js";

const SUMMARY_INTERVAL_MS = 10_000;

/**
 * One live chart. It lives outside the component tree: data reach it by `invalidate`, and it paints at most once per
 * animation frame, and only while it is on the screen.
 */
export class Chart {
  #element;
  #options;
  #plot;
  #marks;
  #tooltip;
  #painter;
  #off;
  #observers;
  #on_screen = true;
  #hovered = false;
  #last_x;
  #summary_at_ms = -Infinity;

  /**
   * @param {HTMLElement} element
   * @param {{series: import("../live/series.js").Series, column: string, lines: {key: string, label: string, hue: number}[],
   *   unit: string, title: string, scattered?: boolean, tall?: boolean, accents?: Series[], changes: () => import("../live/changes.js").Change[]}} options
   */
  constructor(element, options) {
    this.#element = element;
    this.#options = options;
    this.#painter = painter(() => this.#paint());
    this.#observers = [
      new ResizeObserver(() => this.#resize()),
      new IntersectionObserver(
        ([{ isIntersecting }]) => {
          this.#on_screen = isIntersecting;
          this.invalidate();
        },
        { rootMargin: "120px" },
      ),
    ];
    for (const observer of this.#observers) observer.observe(element);
    this.#off = [
      effect(() => {
        colours.value; // canvas holds no variables: another scheme is another plot
        this.#make();
      }),
      effect(() => this.#focus(pointed_key.value)),
      effect(() => {
        [window_seconds.value, pinned.value, hidden_keys.value];
        this.repaint();
      }),
    ];
    element.addEventListener("pointerenter", () => (this.#hovered = true));
    element.addEventListener("pointerleave", () => {
      this.#hovered = false;
      this.#tooltip.hide();
    });
  }

  dispose() {
    for (const off of this.#off) off();
    for (const observer of this.#observers) observer.disconnect();
    this.#painter.dispose();
    this.#unmake();
  }

  /** There is something new to draw. */
  invalidate() {
    this.#painter.invalidate();
  }

  /** Draw now even while paused: what the user asked for (another window, a line switched off) is no new data. */
  repaint() {
    if (paused.peek()) this.#paint();
    else this.invalidate();
  }

  #make() {
    this.#unmake();
    const { lines, unit, series, column, scattered, tall, accents = [] } = this.#options;
    const width = Math.max(200, this.#element.clientWidth);
    this.#plot = makePlot(
      {
        lines,
        unit,
        width,
        scattered,
        gaps: () => series.gaps,
        accents: () => accents.map((each) => each.view(column, lines, this.#span().min)),
        shown: () => this.#span(),
        tall,
        on_draw: () => this.#placeMarks(),
        on_cursor: (index, left) => this.#point(index, left),
      },
      this.#element,
    );
    this.#marks = new ChartMarks(this.#plot.over);
    this.#tooltip = new ChartTooltip(this.#plot.over);
    this.invalidate();
  }

  #span() {
    const { series } = this.#options;
    return span(series.first_x, this.#last_x ?? series.last_x);
  }

  #unmake() {
    this.#marks?.dispose();
    this.#plot?.destroy();
    this.#marks = this.#plot = undefined;
  }

  #paint() {
    if (!this.#on_screen || !this.#plot) return;
    const { series, column, lines } = this.#options;
    if (!paused.peek()) this.#last_x = series.last_x; // while paused, what is new lies beyond the edge
    const hidden = hidden_keys.peek();
    lines.forEach(({ key, switches = [key] }, index) => {
      const show = !switches.some((each) => hidden.has(each));
      if (this.#plot.series[index + 1].show !== show) this.#plot.setSeries(index + 1, { show }, false);
    });
    this.#plot.setData(series.view(column, lines, this.#span().min));
    this.#element.dataset.points = series.size;
    this.#element.dataset.until = this.#last_x;
    this.#element.dataset.gaps = series.gaps.length;
    this.#summarise();
  }

  #placeMarks() {
    // uPlot draws for the first time from within its constructor, before there are marks.
    this.#marks?.place(
      this.#options.changes(),
      ({ batch, side }) => this.#options.series.xOfBatch(batch, side),
      (x) => this.#plot.valToPos(x, "x"),
      this.#plot.over.clientWidth,
    );
  }

  #point(index, left) {
    if (!this.#tooltip) return;
    if (!this.#hovered || index == null) this.#tooltip.hide();
    else {
      const { lines, unit } = this.#options;
      this.#tooltip.show(this.#plot.data, index, lines, unit, left, this.#plot.over.clientWidth);
    }
  }

  #focus(key) {
    const index = this.#options.lines.findIndex((line) => line.key === key);
    this.#plot?.setSeries(index < 0 ? null : index + 1, { focus: true }, false);
  }

  #resize() {
    const width = Math.max(200, this.#element.clientWidth);
    if (this.#plot && width !== this.#plot.width) this.#plot.setSize({ width, height: this.#plot.height });
  }

  /** What a screen reader says of the chart; not changed more often than somebody could listen to. */
  #summarise() {
    const now = performance.now();
    if (now - this.#summary_at_ms < SUMMARY_INTERVAL_MS) return;
    this.#summary_at_ms = now;
    const { series, column, lines, unit, title } = this.#options;
    const told = lines
      .slice(0, 6)
      .map(({ key, label }) => `${label || column} ${quantity(series.last(key, column), unit)}`);
    const more = lines.length > 6 ? `, and ${lines.length - 6} more lines` : "";
    const gaps = series.gaps.length ? ` ${series.gaps.length} gaps in the data.` : "";
    this.#element.setAttribute("aria-label", `Line chart of ${title}. Last values: ${told.join(", ")}${more}.${gaps}`);
  }
}
