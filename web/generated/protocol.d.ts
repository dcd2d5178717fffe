// Made by `python -m gateway.protocol.generate`: do not edit.

/** Show a token: within 5 s of connecting where the handshake carried none, or later to renew the session. */
export interface Authenticate {
  type: "authenticate";
  /** the client's choice, unique while pending */
  id?: number;
  /** a bearer token */
  token: string;
}

/** Ask for a stream's publications. Absent `credit` means unlimited; `since` is the last position seen. */
export interface Subscribe {
  type: "subscribe";
  /** the client's choice, unique while pending */
  id?: number;
  /** the client's number for a subscription, unique on its socket */
  sub: number;
  /** `<job>/<output>`, or `<job>` where it has one output only */
  stream: string;
  /** after this position; or all that is retained; or only what comes */
  since?: "earliest" | "latest" | Position;
  /** publications that may still be sent; absent means unlimited */
  credit?: number;
  overflow?: Overflow;
  format?: Format;
  /** `[column, operator, value]`, all of which must hold */
  where?: [string, "!=" | "<" | "<=" | "=" | ">" | ">=" | "in" | "is_null" | "like", unknown][];
  /** names of columns */
  select?: string[];
  /** at most one publication in so many milliseconds; 0: as they are made */
  every_ms?: number;
  /** names of columns */
  key?: string[];
}

/** A place in a stream: the last publication seen. */
export interface Position {
  /** names one numbering of a stream; offsets compare within an epoch only */
  epoch: string;
  /** offsets count from 1 within an epoch; 0 is the position before the first */
  offset: number;
}

/** What happens to publications that a subscription has no credit or room for. */
export type Overflow = "block" | "conflate" | "drop_oldest" | "end" | "latest";

/** How a publication carries its rows in JSON. */
export type Format = "columns" | "rows";

/** Change a subscription's options in place; nothing is lost between. What is left out stays as it is. */
export interface Resubscribe {
  type: "resubscribe";
  /** the client's choice, unique while pending */
  id?: number;
  /** the client's number for a subscription, unique on its socket */
  sub: number;
  /** in place of what is left of the credit; null: unlimited */
  credit?: number | null;
  /** null: the default of the output's mode */
  overflow?: Overflow | null;
  format?: Format;
  /** `[column, operator, value]`, all of which must hold */
  where?: [string, "!=" | "<" | "<=" | "=" | ">" | ">=" | "in" | "is_null" | "like", unknown][];
  /** null: all columns */
  select?: string[] | null;
  /** at most one publication in so many milliseconds; 0: as they are made */
  every_ms?: number;
  /** null: the output's own key */
  key?: string[] | null;
}

/** End a subscription. */
export interface Unsubscribe {
  type: "unsubscribe";
  /** the client's choice, unique while pending */
  id?: number;
  /** the client's number for a subscription, unique on its socket */
  sub: number;
}

/**
 * Grant `n` more publications; grants add up (Reactive Streams 3.8).
 *
 * It does not count towards `max_commands_per_second` where `sub` was sent something since its last `request`.
 */
export interface Request {
  type: "request";
  /** the client's choice, unique while pending */
  id?: number;
  /** the client's number for a subscription, unique on its socket */
  sub: number;
  /** how many more */
  n: number;
}

/** Start a job. Its parameters are checked, all of them, before anything runs. */
export interface Run {
  type: "run";
  /** the client's choice, unique while pending */
  id?: number;
  /** a declared function */
  function: string;
  /** parameters by name */
  parameters?: Record<string, unknown>;
  /** a set of Spark settings and workers */
  context?: string;
  /** what to call the job, if not by its function's name */
  name?: string;
  /** the caller's own name for a run */
  external_id?: string;
  /** take part in a job that runs the same with the same parameters; else start it */
  share?: boolean;
  /** seconds within which it must be running */
  start_timeout_s?: number;
  /** seconds that it may run */
  run_timeout_s?: number;
}

/** Stop a job; `graceful` lets the running micro-batch end. */
export interface Stop {
  type: "stop";
  /** the client's choice, unique while pending */
  id?: number;
  /** a job, by name or id */
  job: string;
  mode?: StopMode;
}

/** `graceful` ends on a batch boundary; `now` interrupts the running batch, which a later start replays. */
export type StopMode = "graceful" | "now";

/** Ask for one job, by name or id. */
export interface GetJob {
  type: "get_job";
  /** the client's choice, unique while pending */
  id?: number;
  /** a job, by name or id */
  job: string;
}

/** Ask for the jobs that match every filter given. */
export interface ListJobs {
  type: "list_jobs";
  /** the client's choice, unique while pending */
  id?: number;
  /** any of these */
  state?: JobState[];
  /** a declared function */
  function?: string;
  /** a set of Spark settings and workers */
  context?: string;
  kind?: FunctionKind;
}

/** One run of a function. */
export type JobState = "cancelled" | "cancelling" | "failed" | "finished" | "lost" | "paused" | "queued" | "restarting" | "running" | "starting" | "timed_out";

/** What a function declares. */
export type FunctionKind = "batch" | "model" | "stream";

/** Ask for a job's parameters. */
export interface GetParameters {
  type: "get_parameters";
  /** the client's choice, unique while pending */
  id?: number;
  /** a job, by name or id */
  job: string;
  /** with their JSON Schema */
  schema?: boolean;
  /** with so many of the newest changes */
  history?: number;
}

/**
 * Change parameters of a running job. `values` is a merge patch (RFC 7396): null brings a default back.
 *
 * With `ttl_s` each value that it changes goes back by itself, unless it was changed again without a `ttl_s`. A change
 * that cannot keep the job's state is refused without `reset`.
 */
export interface SetParameters {
  type: "set_parameters";
  /** the client's choice, unique while pending */
  id?: number;
  /** a job, by name or id */
  job: string;
  /** parameters by name */
  values: Record<string, unknown>;
  /** refuse the change unless this is in force */
  if_revision?: number;
  /** check it, and change nothing */
  dry_run?: boolean;
  /** seconds until the old values come back */
  ttl_s?: number;
  /** begin from a new checkpoint and in a new epoch; what was saved is given up */
  reset?: boolean;
  /** what the reply waits for */
  wait?: "accepted" | "applied";
  /** seconds that `wait: applied` waits */
  wait_s?: number;
}

/** Bring back the values of an earlier revision, as a new one; otherwise like `set_parameters`. */
export interface Revert {
  type: "revert";
  /** the client's choice, unique while pending */
  id?: number;
  /** a job, by name or id */
  job: string;
  /** whose values are to come back */
  revision: number;
  /** refuse the change unless this is in force */
  if_revision?: number;
  /** check it, and change nothing */
  dry_run?: boolean;
  /** begin from a new checkpoint and in a new epoch; what was saved is given up */
  reset?: boolean;
  /** what the reply waits for */
  wait?: "accepted" | "applied";
  /** seconds that `wait: applied` waits */
  wait_s?: number;
}

/**
 * Start a job of one's own that goes on from where another is, with other parameters (a merge patch).
 *
 * The subscriptions `subs` of this socket (absent: all that it has on the job's outputs) go over to it in place.
 */
export interface Fork {
  type: "fork";
  /** the client's choice, unique while pending */
  id?: number;
  /** a job, by name or id */
  job: string;
  /** parameters by name */
  values?: Record<string, unknown>;
  /** what to call the new job */
  name?: string;
  /** which subscriptions go over */
  subs?: number[];
}

/** Ask for a pong; `t` comes back as it was. */
export interface Ping {
  type: "ping";
  /** the client's choice, unique while pending */
  id?: number;
  /** anything; comes back as it was */
  t?: unknown;
}

/** The session's principal from now on. */
export interface Authenticated {
  type: "authenticated";
  /** the client's choice, unique while pending */
  id: number;
  /** who it is: a token's name */
  principal: string;
  /** whose it is */
  tenant: string;
  /** RFC 3339, in UTC */
  expires_at?: string | null;
}

/** The ranges of the publications and gaps that follow lie end to end, from `offset` on. */
export interface Subscribed {
  type: "subscribed";
  /** the client's choice, unique while pending */
  id: number;
  /** the client's number for a subscription, unique on its socket */
  sub: number;
  /** `<job>/<output>`, or `<job>` where it has one output only */
  stream: string;
  /** names one numbering of a stream; offsets compare within an epoch only */
  epoch: string;
  /** what follows begins after it */
  offset: number;
  /** null until the first publication */
  schema?: Column[] | null;
  /** null for a stream that has no job */
  parameters?: ParametersInForce | null;
  /** the policy in force */
  overflow?: Overflow;
  /** the columns by which `conflate` merges; empty: none */
  key?: string[];
  /** publications that may still be sent; null: unlimited */
  credit?: number | null;
  /** whether all since the asked position is coming */
  recovered?: boolean;
}

/** A column of a stream. */
export interface Column {
  /** the name, as in the rows */
  name: string;
  /** Arrow's name for the type */
  type: string;
  /** whether it may be null */
  nullable: boolean;
}

/** A job's parameters at one revision. */
export interface ParametersInForce {
  /** counts a job's accepted parameter changes; 1 is what it started with */
  revision: number;
  /** parameters by name */
  values: Record<string, unknown>;
}

/** Nothing more comes for `sub`. */
export interface Unsubscribed {
  type: "unsubscribed";
  /** the client's choice, unique while pending */
  id: number;
  /** the client's number for a subscription, unique on its socket */
  sub: number;
}

/** The credit that the subscription has now. */
export interface Requested {
  type: "requested";
  /** the client's choice, unique while pending */
  id: number;
  /** the client's number for a subscription, unique on its socket */
  sub: number;
  /** publications that may still be sent; null: unlimited */
  credit: number | null;
}

/** The job as it is now. */
export interface JobReply {
  type: "job";
  /** the client's choice, unique while pending */
  id: number;
  job: JobInfo;
}

/** One run of a function in a context, as everyone sees it. */
export interface JobInfo {
  /** the gateway's name for a job, never used again */
  id: string;
  /** what people call it, unique among the jobs that run */
  name: string;
  /** a declared function */
  function: string;
  /** a set of Spark settings and workers */
  context: string;
  state: JobState;
  kind: FunctionKind;
  /** who it is: a token's name */
  principal: string;
  /** whose it is */
  tenant: string;
  /** RFC 3339, in UTC */
  created_at: string;
  /** its streams */
  outputs: OutputInfo[];
  /** of the parameters in force */
  revision: number;
  /** parameters by name */
  values: Record<string, unknown>;
  /** RFC 3339, in UTC */
  started_at: string | null;
  /** RFC 3339, in UTC */
  ended_at: string | null;
  /** why it is in its state, where that needs saying */
  reason: string | null;
  /** how often it was started again */
  restarts: number;
  /** the worker that it runs on */
  worker: string | null;
  /** the caller's own name for a run */
  external_id: string | null;
  /** whether `run` with `share` may give it to others */
  shared: boolean;
  /** the id of the job that it was forked from */
  forked_from: string | null;
  /** what becomes of it when nobody listens */
  idle: Idle;
}

/** A named output of a function. */
export interface OutputInfo {
  /** the last part of the stream's name */
  name: string;
  mode: OutputMode;
  /** the columns that identify a row */
  key: string[];
  /** the column that holds a row's event time */
  time: string | null;
  /** what it holds, for people */
  description: string;
  /** whether subscriptions with `block` may hold the job back */
  allow_block: boolean;
}

/** Spark's output modes; they decide what a publication means to the ones before it. */
export type OutputMode = "append" | "complete" | "update";

/** What becomes of a job to which nobody listens: it runs on, it is paused until somebody does, or it is stopped. */
export type Idle = "pause" | "run" | "stop";

/** The jobs that match. */
export interface Jobs {
  type: "jobs";
  /** the client's choice, unique while pending */
  id: number;
  /** the matching jobs */
  jobs: JobInfo[];
}

/** A job's parameters in force, the JSON Schema that they follow, and their newest changes, newest first. */
export interface ParametersReply {
  type: "parameters";
  /** the client's choice, unique while pending */
  id: number;
  /** the job's name */
  job: string;
  /** counts a job's accepted parameter changes; 1 is what it started with */
  revision: number;
  /** parameters by name */
  values: Record<string, unknown>;
  /** JSON Schema (2020-12) of the parameters */
  schema?: Record<string, unknown>;
  /** as many as were asked for */
  history?: Change[];
}

/** A change of a job's parameters as its history keeps it: who, when, from where, what, and what came of it. */
export interface Change {
  /** counts a job's accepted parameter changes; 1 is what it started with */
  revision: number;
  /** parameters by name */
  values: Record<string, unknown>;
  /** the values that it changed */
  changed: Record<string, unknown>;
  /** what they were before */
  before?: Record<string, unknown>;
  /** who changed them */
  by: string;
  /** from where: `websocket 192.0.2.7`, `rest 192.0.2.7` */
  origin?: string;
  /** when it was accepted, RFC 3339 */
  at: string;
  effect: Effect;
  state: RevisionState;
  /** when it entered this state, RFC 3339 */
  settled_at?: string;
  /** the first micro-batch under it */
  batch?: number;
  /** why, where it was refused, overtaken or taken back */
  reason?: string;
  /** when it goes back by itself, RFC 3339 */
  expires_at?: string;
  /** the revision whose values it brought back */
  restores?: number;
}

/** How a parameter change reaches the running job. */
export type Effect = "live" | "reset" | "restart";

/** One change of a job's parameters. */
export type RevisionState = "accepted" | "applied" | "proposed" | "rejected" | "reverted" | "superseded";

/**
 * The change is valid and has its revision; `parameters` pushes say when it is applied.
 *
 * With `wait: applied` it comes when the change is applied, with `batch`, or when that is settled otherwise or has
 * taken too long: `state` says what became of it, and `reason` why. A rejected one is answered by an error.
 *
 * For a dry run `revision` is the one in force, and `values`, `changed` and `effect` are what they would be. `batch`
 * is there where it changed nothing and `revision` is applied already: the first micro-batch under it.
 */
export interface ParametersAccepted {
  type: "parameters_accepted";
  /** the client's choice, unique while pending */
  id: number;
  /** the job's name */
  job: string;
  /** counts a job's accepted parameter changes; 1 is what it started with */
  revision: number;
  /** parameters by name */
  values: Record<string, unknown>;
  effect: Effect;
  /** Spark's number of the micro-batch */
  batch?: number;
  /** of a dry run: the values that would change */
  changed?: Record<string, unknown>;
  /** when it goes back by itself, RFC 3339 */
  expires_at?: string;
  /** with `wait: applied`: what became of it */
  state?: RevisionState;
  /** why it is not applied */
  reason?: string;
}

/** The answer to a ping, with its `t`. */
export interface Pong {
  type: "pong";
  /** the client's choice, unique while pending */
  id: number;
  /** anything; comes back as it was */
  t?: unknown;
}

/** The first frame of an authenticated socket. */
export interface Welcome {
  type: "welcome";
  /** names this socket, in logs too */
  session: string;
  /** the gateway's name and version */
  server: string;
  /** the protocol and its version */
  protocol: string;
  /** who it is: a token's name */
  principal: string;
  /** whose it is */
  tenant: string;
  /** seconds between the gateway's WebSocket pings */
  heartbeat_s: number;
  limits: Limits;
}

/** What this socket may do; beyond it there is an error, or the close code that is named for it. */
export interface Limits {
  /** of a client's frame; beyond: close code 1009 */
  max_frame_bytes: number;
  /** at a time; beyond: error `limit_exceeded` */
  max_subscriptions: number;
  /** that wait to be read; beyond: close code 4413 */
  max_queue_bytes: number;
  /** sustained, but for a `request` that follows a publication; beyond: close code 4429 */
  max_commands_per_second: number;
}

/**
 * The rows of one micro-batch (or of several that a policy merged), covering the offsets `from..offset`.
 *
 * All of them were computed under parameter `revision` (`revision_from` names the oldest where several are merged).
 */
export interface Publication {
  type: "publication";
  /** the client's number for a subscription, unique on its socket */
  sub: number;
  /** names one numbering of a stream; offsets compare within an epoch only */
  epoch: string;
  /** the newest offset that is covered */
  offset: number;
  /** of the parameters that all of it was computed with */
  revision: number;
  /** Spark's number of the micro-batch */
  batch: number;
  /** when the worker published it, RFC 3339 */
  published_at: string;
  /** the oldest offset that is covered, if not the same */
  from?: number;
  /** the oldest revision, if not the same */
  revision_from?: number;
  /** the newest event time in it, RFC 3339 */
  event_time?: string;
  /** rows before filtering and merging */
  rows_in?: number;
  /** with format `rows` */
  rows?: Record<string, unknown>[];
  /** with format `columns` */
  columns?: Record<string, unknown[]>;
}

/**
 * Offsets `from..to` of `epoch` will never come on this subscription.
 *
 * With reason `epoch` the numbering began anew; `to` is then `from - 1` where nothing of the new epoch is missing.
 */
export interface Gap {
  type: "gap";
  /** the client's number for a subscription, unique on its socket */
  sub: number;
  /** names one numbering of a stream; offsets compare within an epoch only */
  epoch: string;
  /** the first offset that will not come */
  from: number;
  /** the last offset that will not come */
  to: number;
  reason: GapReason;
}

/** Why offsets will never come. */
export type GapReason = "epoch" | "overflow" | "retention";

/** A change of a job's parameters, at each of its states; `batch` is the first micro-batch computed under it. */
export interface Parameters {
  type: "parameters";
  /** the job's name */
  job: string;
  /** counts a job's accepted parameter changes; 1 is what it started with */
  revision: number;
  /** parameters by name */
  values: Record<string, unknown>;
  /** the values that differ from the revision before */
  changed: Record<string, unknown>;
  state: RevisionState;
  effect: Effect;
  /** who changed them */
  by: string;
  /** when it entered this state, RFC 3339 */
  at: string;
  /** Spark's number of the micro-batch */
  batch?: number;
  /** why, where it was refused or taken back */
  reason?: string;
  /** when it goes back by itself, RFC 3339 */
  expires_at?: string;
  /** what the changed values were before */
  before?: Record<string, unknown>;
  /** from where it was changed */
  origin?: string;
  /** the revision whose values it brings back */
  restores?: number;
  /** where it was rejected: what holds */
  in_force?: ParametersInForce;
}

/** A job that this session watches has changed. */
export interface Job {
  type: "job";
  job: JobInfo;
}

/** Nothing more comes for `sub`; `last_offset` is where it stood. */
export interface SubscriptionEnded {
  type: "subscription_ended";
  /** the client's number for a subscription, unique on its socket */
  sub: number;
  /** why it ended */
  reason: string;
  /** the last offset that was accounted for */
  last_offset: number;
}

/** `sub` goes on with another stream, to which a `fork` has moved it: what comes after the `epoch` gap is its. */
export interface SubscriptionMoved {
  type: "subscription_moved";
  /** the client's number for a subscription, unique on its socket */
  sub: number;
  /** `<job>/<output>`, or `<job>` where it has one output only */
  stream: string;
  /** names one numbering of a stream; offsets compare within an epoch only */
  epoch: string;
  /** what follows of the new stream begins after it */
  offset: number;
}

/** A `block` subscription held its job back for too long: from now on it has this policy instead. */
export interface SubscriptionDegraded {
  type: "subscription_degraded";
  /** the client's number for a subscription, unique on its socket */
  sub: number;
  overflow: Overflow;
  /** how long it held the job back */
  reason: string;
}

/** The gateway goes away after `deadline_ms`; come back after a random time within `reconnect_in_ms`. */
export interface Drain {
  type: "drain";
  /** least and most milliseconds to wait */
  reconnect_in_ms: [number, number];
  /** milliseconds from now to the end */
  deadline_ms: number;
}

/** A command failed (with its `id`, where it had one). The same members as the REST API's problem (RFC 9457). */
export interface Error {
  type: "error";
  /** one of the error codes */
  code: string;
  /** what the code means */
  title: string;
  /** what is wrong here, and what to do */
  detail: string;
  /** the client's choice, unique while pending */
  id?: number;
  /** the field at fault */
  path?: string;
  /** all faults, where there are several */
  errors?: Fault[];
}

/** One thing that is wrong with a command. */
export interface Fault {
  /** where: `$.values.threshold` */
  path: string;
  /** what is wrong, and what would be right */
  detail: string;
}

/** What went wrong (RFC 9457). `type` is stable for a code; `path` is the field at fault, `errors` all of them. */
export interface Problem {
  /** `/problems/<code>` */
  type: string;
  /** what the code means */
  title: string;
  /** the HTTP status */
  status: number;
  /** what is wrong here, and what to do */
  detail: string;
  /** one of the error codes, as on the socket */
  code: string;
  /** the path that was asked for */
  instance?: string | null;
  /** the field at fault: `$.token` */
  path?: string | null;
  /** all faults, where there are several */
  errors?: Fault[];
}

/** Who the caller is. */
export interface SessionInfo {
  /** who it is: a token's name */
  principal: string;
  /** whose it is */
  tenant: string;
  /** what the caller may do */
  rights: Right[];
  /** whether the gateway asks for tokens */
  authentication: "none" | "token";
}

/** What a principal may do: look, change parameters, start and stop jobs, everything. */
export type Right = "admin" | "control" | "read" | "run";

/** The token to open a browser's session with. */
export interface LoginRequest {
  /** a bearer token */
  token: string;
}

/** The jobs that match. */
export interface JobList {
  /** the matching jobs */
  jobs: JobInfo[];
}

/** What workers have declared; a function that could not be loaded carries its `error`. */
export interface FunctionList {
  /** all functions */
  functions: FunctionInfo[];
}

/** A declared entry point. */
export interface FunctionInfo {
  /** what `run` calls it */
  name: string;
  kind: FunctionKind;
  /** what it does, in a line */
  title: string;
  /** what it does, at length */
  description: string;
  /** JSON Schema (2020-12) of its parameters */
  parameters: Record<string, unknown>;
  /** what it gives */
  outputs: OutputInfo[];
  /** what becomes of its jobs when nobody listens */
  idle: Idle;
  /** seconds without a listener until then */
  idle_s: number;
  /** why it could not be loaded */
  error: string | null;
}

/** The streams that the gateway holds. */
export interface StreamList {
  /** all streams */
  streams: StreamInfo[];
}

/** A stream as the gateway holds it: what is retained, and who listens. */
export interface StreamInfo {
  /** the name to subscribe to */
  stream: string;
  /** names one numbering of a stream; offsets compare within an epoch only */
  epoch: string;
  /** offsets count from 1 within an epoch; 0 is the position before the first */
  offset: number;
  /** the job's id; null for the gateway's own streams */
  job: string | null;
  /** which of the job's outputs */
  output: string | null;
  /** the oldest offset that is retained */
  first_offset: number | null;
  /** what the retained publications take */
  retained_bytes: number;
  /** subscriptions at this moment */
  subscribers: number;
  mode: OutputMode;
  /** the columns that identify a row */
  key: string[];
  /** the column that holds a row's event time */
  time: string | null;
  /** whether subscriptions with `block` may hold the job back */
  allow_block: boolean;
  /** null until the first publication */
  columns: Column[] | null;
}

/** The gateway is well. */
export interface Health {
  status: "ok";
  /** what was looked at, and found */
  checks?: Record<string, string>;
}

/** A frame that a client sends. With an `id` it gets exactly one reply with that `id`. */
export type Command = Authenticate | Subscribe | Resubscribe | Unsubscribe | Request | Run | Stop | GetJob | ListJobs | GetParameters | SetParameters | Revert | Fork | Ping;

/** The answer to a command that had an `id`. */
export type Reply = Authenticated | Subscribed | Unsubscribed | Requested | JobReply | Jobs | ParametersReply | ParametersAccepted | Pong;

/** A frame that the gateway sends by itself. */
export type Push = Welcome | Publication | Gap | Parameters | Job | SubscriptionEnded | SubscriptionMoved | SubscriptionDegraded | Drain | Error;

/** A command's type to its reply. */
export interface ReplyOf {
  authenticate: Authenticated;
  subscribe: Subscribed;
  resubscribe: Subscribed;
  unsubscribe: Unsubscribed;
  request: Requested;
  run: JobReply;
  stop: JobReply;
  get_job: JobReply;
  list_jobs: Jobs;
  get_parameters: ParametersReply;
  set_parameters: ParametersAccepted;
  revert: ParametersAccepted;
  fork: JobReply;
  ping: Pong;
}

/** What can go wrong. */
export type ErrorCode = "invalid_frame" | "unknown_type" | "invalid_parameters" | "unauthenticated" | "forbidden" | "not_found" | "method_not_allowed" | "not_acceptable" | "unsupported_media_type" | "conflict" | "revision_conflict" | "reset_required" | "change_rejected" | "limit_exceeded" | "not_implemented" | "unavailable" | "timed_out" | "internal";

export declare const PROTOCOL: string;
export declare const SUBPROTOCOLS: Readonly<{ json: string; arrow: string }>;
export declare const SUBPROTOCOL_TOKEN_PREFIX: string;
export declare const COMMANDS: Readonly<Record<keyof ReplyOf, Readonly<{ reply: string; right: Right | null }>>>;
export declare const ERROR_CODES: Readonly<
  Record<ErrorCode, Readonly<{ title: string; http_status: number; remedy: string; retry: boolean }>>
>;
export declare const CLOSE_CODES: Readonly<
  Record<string, Readonly<{ name: string; reason: string; may_reconnect: boolean }>>
>;
/** Whether a client that was closed with `code` should come back. */
export declare function mayReconnect(code: number): boolean;
export type StateTable<S extends string> = Readonly<
  Record<S, Readonly<{ final: boolean; on: Readonly<Record<string, S>> }>>
>;

export declare const SESSION_STATES: StateTable<SessionState>;

export declare const SUBSCRIPTION_STATES: StateTable<SubscriptionState>;

export declare const JOB_STATES: StateTable<JobState>;

export declare const WORKER_STATES: StateTable<WorkerState>;

export declare const REVISION_STATES: StateTable<RevisionState>;

export declare const OVERFLOWS: readonly Overflow[];

export declare const FORMATS: readonly Format[];

export declare const OUTPUT_MODES: readonly OutputMode[];

export declare const STOP_MODES: readonly StopMode[];

export declare const EFFECTS: readonly Effect[];

export declare const GAP_REASONS: readonly GapReason[];

export declare const FUNCTION_KINDS: readonly FunctionKind[];

export declare const RIGHTS: readonly Right[];

/** One client's socket. */
export type SessionState = "connected" | "authenticated" | "draining" | "closed";

/** One client's demand on one stream. */
export type SubscriptionState = "recovering" | "live" | "ended";

/** One Spark driver. */
export type WorkerState = "starting" | "ready" | "draining" | "disconnected" | "stopped";
