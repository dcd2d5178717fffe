// What reads Arrow IPC streams, as a module of its own: only who uses Arrow loads it. `node build.mjs` makes arrow.js from it.
export { tableFromIPC } from "apache-arrow/ipc/serialization";
