/** Named events. One listener that throws disturbs neither the others nor the sender: its error is reported as uncaught. */
export class Emitter {
  /** @type {Map<string, Set<(detail: any) => any>>} */
  #listeners = new Map();

  /**
   * @param {string} name
   * @param {(detail: any) => any} listener
   * @returns {() => void} takes the listener off again
   */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /**
   * @param {string} name @param {any} [detail]
   * @returns {Promise<unknown> | undefined} where listeners returned promises: one that is fulfilled when all of them are settled
   */
  emit(name, detail) {
    const under_way = [];
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        const result = listener(detail);
        if (typeof result?.then === "function") under_way.push(Promise.resolve(result).catch(report));
      } catch (error) {
        report(error);
      }
    }
    return under_way.length ? Promise.all(under_way) : undefined;
  }
}

function report(error) {
  queueMicrotask(() => {
    throw error;
  });
}
