import { JOB_STATES } from "../generated/protocol.js";
import { computed, signal } from "../vendor/vendor.js";
import { say } from "./announcer.js";
import { connection, explain, link } from "./gateway.js";
import { getFunctions } from "./rest.js";
import { listenTo } from "./streams.js";

const MAX_JOBS = 500;

/** Every job, newest first; undefined while they are not known. */
export const jobs = signal(undefined);
/** Every function; undefined while they are not known. */
export const functions = signal(undefined);
/** Why they could not be asked for, where that is so. */
export const fault = signal("");
/** The newest row of `$gateway`. */
export const figures = signal(undefined);
export const running = computed(() => (jobs.value ?? []).filter((job) => !isFinal(job)));

/** Whether nothing can happen to the job any more. */
export function isFinal(job) {
  return JOB_STATES[job.state]?.final ?? false;
}

/** The job of that id or, where there is none, the newest of that name. */
export function findJob(key) {
  return jobs.value?.find((job) => job.id === key) ?? jobs.value?.find((job) => job.name === key);
}

/** How a link names a job: by its name, or by its id where a newer job has the name. */
export function keyOfJob(job) {
  return findJob(job.name)?.id === job.id ? job.name : job.id;
}

/** Take note of how a job stands. */
export function noteJob(job) {
  const others = (jobs.peek() ?? []).filter((each) => each.id !== job.id);
  const before = (jobs.peek() ?? []).find((each) => each.id === job.id);
  if (before && before.state !== job.state)
    say(`Job ${job.name} is ${job.state.replace("_", " ")}${job.reason ? `: ${job.reason}` : ""}`);
  jobs.value = [...others, job].sort((a, b) => (a.created_at < b.created_at ? 1 : -1)).slice(0, MAX_JOBS);
}

/** Ask for what there is; what changes afterwards comes by itself. */
export async function refresh() {
  try {
    const [{ jobs: listed }, declared] = await Promise.all([connection.listJobs(), getFunctions()]);
    functions.value = declared;
    jobs.value = [];
    for (const job of listed) noteJob(job);
    fault.value = "";
  } catch (error) {
    if (link.peek().state === "live") fault.value = explain(error);
  }
}

/** Functions come with a worker, which may arrive after us. */
export async function refreshFunctions() {
  try {
    functions.value = await getFunctions();
  } catch (error) {
    fault.value = explain(error);
  }
}

connection.on("job", ({ job }) => {
  const known = functions.peek()?.some((declared) => declared.name === job.function);
  noteJob(job);
  if (!known) refreshFunctions();
});
connection.on("welcome", refresh);
listenTo("$jobs");
listenTo("$gateway").on("publication", ({ rows }) => (figures.value = rows?.at(-1)));
