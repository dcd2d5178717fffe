import { computed } from "../vendor/vendor.js";

/** How the two jobs of a comparison are called: the original, and its fork. */
export const SIDES = ["A", "B"];

/** Lines of the fork: dashed, whatever their colour. */
const DASH = [5, 4];

const keyOf = (side, base) => `${side} ${base}`;
const sideOf = (key) => SIDES.indexOf(key[0]);
const baseOf = (key) => key.slice(2);
/** What switches off all lines of a side, in `hidden_keys`. */
export const switchOf = (side) => `side ${side}`;
/** What switches off the lines of a key on both sides. */
export const switchOfBase = (base) => `key ${base}`;

/**
 * The series of two jobs' outputs as one, for charts: every line is there twice, of the same colour, on the same axes.
 * Looks like a `Series` to whoever draws it.
 */
export class PairedSeries {
  #pair;

  /** @param {import("./series.js").Series[]} pair of the original and of its fork */
  constructor(pair) {
    this.#pair = pair;
  }

  /** The keys of both, whichever side has them. @returns {string[]} */
  get bases() {
    return [...new Set(this.#pair.flatMap((series) => series.lines.map(({ key }) => key)))];
  }

  get lines() {
    const { bases } = this;
    const one = bases.length === 1;
    return this.#pair.flatMap((series, at) =>
      series.lines.map(({ key, unit }) => ({
        key: keyOf(SIDES[at], key),
        label: key ? `${key} ${SIDES[at]}` : SIDES[at],
        unit,
        hue: one ? at : bases.indexOf(key),
        dash: at ? DASH : undefined,
        switches: [switchOf(SIDES[at]), switchOfBase(key)],
      })),
    );
  }

  get columns() {
    return [...new Set(this.#pair.flatMap(({ columns }) => columns))];
  }

  get gaps() {
    return this.#pair.flatMap(({ gaps }) => gaps);
  }

  get evicted() {
    return Math.max(...this.#pair.map(({ evicted }) => evicted));
  }

  get size() {
    return Math.max(...this.#pair.map(({ size }) => size));
  }

  get first_x() {
    return edge(Math.min, this.#pair, "first_x");
  }

  get last_x() {
    return edge(Math.max, this.#pair, "last_x");
  }

  /** @param {number} batch @param {string} side */
  xOfBatch(batch, side) {
    return this.#pair[SIDES.indexOf(side)].xOfBatch(batch);
  }

  last(key, column) {
    return this.#pair[sideOf(key)].last(baseOf(key), column);
  }

  summary(key, column) {
    return this.#pair[sideOf(key)].summary(baseOf(key), column);
  }

  peak(key, column) {
    return this.#pair[sideOf(key)].peak(baseOf(key), column);
  }

  /** @param {string} column @param {{key: string}[]} lines @param {number} [from_x] as `Series` takes and gives them */
  view(column, lines, from_x) {
    const own = this.#pair.map((_, at) => lines.filter(({ key }) => sideOf(key) === at));
    const views = this.#pair.map((series, at) =>
      series.view(
        column,
        own[at].map(({ key }) => ({ key: baseOf(key) })),
        from_x,
      ),
    );
    const [x, places] = merged(views[0][0], views[1][0]);
    const rows = lines.map((line) => {
      const at = sideOf(line.key);
      const values = views[at][1 + own[at].indexOf(line)];
      const row = new Array(x.length).fill(null);
      values.forEach((value, index) => (row[places[at][index]] = value));
      return row;
    });
    return [x, ...rows];
  }
}

/** Two ascending rows of times as one, and where each of theirs is in it. */
function merged(a, b) {
  const x = [];
  const places = [[], []];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const next = Math.min(a[i] ?? Infinity, b[j] ?? Infinity);
    if (a[i] === next) places[0][i++] = x.length;
    if (b[j] === next) places[1][j++] = x.length;
    x.push(next);
  }
  return [x, places];
}

function edge(pick, pair, name) {
  const known = pair.map((series) => series[name]).filter((x) => x !== undefined);
  return known.length ? pick(...known) : undefined;
}

/** An output of two jobs as one feed, for charts. */
export class PairedFeed {
  #pair;

  /** @param {import("./feeds.js").OutputFeed[]} pair of the original and of its fork */
  constructor(pair) {
    this.#pair = pair;
    this.output = pair[0].output;
    this.scattered = pair[0].scattered;
    this.series = new PairedSeries(pair.map(({ series }) => series));
    this.accents = pair[0].accents.flatMap((accent) => {
      const other = pair[1].accents.find(({ output }) => output.name === accent.output.name);
      return other ? [new PairedFeed([accent, other])] : [];
    });
    this.columns = computed(() => (pair[0].columns.value.length ? pair[0] : pair[1]).columns.value);
    this.shape = computed(() => pair[0].shape.value + pair[1].shape.value);
    this.publications = computed(() => pair[0].publications.value + pair[1].publications.value);
  }

  on(name, listener) {
    const stops = this.#pair.map((feed) => feed.on(name, listener));
    return () => stops.forEach((stop) => stop());
  }
}

/** The outputs that both have, paired; events are seen on the lines that they are about. @param {{outputs: import("./feeds.js").OutputFeed[]}} a @param {typeof a} b */
export function pairedOutputs(a, b) {
  const accents = new Set(a.outputs.flatMap((feed) => feed.accents));
  return a.outputs.flatMap((feed) => {
    if (accents.has(feed)) return [];
    const other = b.outputs.find(({ output }) => output.name === feed.output.name);
    return other ? [new PairedFeed([feed, other])] : [];
  });
}
