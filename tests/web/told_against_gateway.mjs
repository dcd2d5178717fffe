// Run by a test in Python with the address of a real gateway: tells what happens to one subscription as lines of JSON, and
// does what lines of JSON ask for, until there are no more.
import { createInterface } from "node:readline";
import { connect } from "../../web/client/index.js";

const [url, stream, options] = process.argv.slice(2);
const connection = connect(url, { base_ms: 20, cap_ms: 200, random: () => 1 }); // the longest wait of each
const subscription = connection.subscribe(stream, JSON.parse(options));
const tell = (event, detail) => console.log(JSON.stringify({ event, ...detail }));

connection.on("state", (detail) => tell("connection", detail));
connection.on("drain", (detail) => tell("drain", detail));
connection.on("error", (error) => tell("error", { detail: error.message }));
subscription.on("state", (state) => tell("subscription", { state }));
for (const name of ["subscribed", "publication", "gap", "violation", "degraded", "ended"])
  subscription.on(name, (detail) => tell(name, detail));

const asked = {
  /** Let so many publications come. */
  request: (n) => subscription.request(n),
  /** Tell how things are: in answer, and without an event of their own. */
  stand: () => {
    const { state, overflow, counts, position } = subscription;
    tell("stand", { connection: connection.state, state, overflow, counts, position });
  },
  /** Subscribe once more on the same connection, and tell what comes. */
  another: (wanted) => {
    const other = connection.subscribe(stream, wanted);
    other.on("publication", ({ offset }) => tell("another", { offset }));
  },
};
for await (const line of createInterface({ input: process.stdin })) {
  const [[what, given]] = Object.entries(JSON.parse(line));
  asked[what](given);
}
connection.close();
