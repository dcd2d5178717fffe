// All third-party code of the dashboard, as one module. `node build.mjs` makes vendor.js from it.
export { h, render, Fragment } from "preact";
export { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export { batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect } from "@preact/signals";
export { default as htm } from "htm";
export { default as uPlot } from "uplot";
