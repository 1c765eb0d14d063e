// What the QKDN controller can read and set: one table for each object; types and docs/controller.md follow from it.

declare const told: unique symbol;

/** A member of a JSON object. */
interface Member<Value> {
  /** Its type, for people. */
  readonly json: string;
  readonly meaning: string;
  readonly [told]?: Value;
}

/** An object, by its members. */
export type Table = Readonly<Record<string, Member<unknown>>>;

/** The object that a table describes. */
export type Reported<T extends Table> = {
  readonly [Name in keyof T]: T[Name] extends Member<infer Value> ? Value : never;
};

const member =
  <Value>(json: string) =>
  (meaning: string): Member<Value> => ({ json, meaning });
const text = member<string>("string");
const number = member<number>("number");
const flag = member<boolean>("boolean");
const texts = member<readonly string[]>("array of strings");
const maybeText = member<string | null>("string or null");
const maybeNumber = member<number | null>("number or null");

/** Members of a route; docs/controller.md is made of these tables. */
export const ROUTE = {
  transit: texts("the KMs between, in order; empty for the link to a neighbour"),
} as const satisfies Table;

const routes = member<readonly Reported<typeof ROUTE>[]>("array of routes");
const maybeRoutes = member<readonly Reported<typeof ROUTE>[] | null>("array of routes, or null");

/** Another member of a KM that is several machines, as far as the active one knows. */
export const OTHER_MEMBER = {
  member: text("its name: `member` of its configuration"),
  state: text("`active` or `standby`"),
  behind: number("writes that its copy lacks; 0 for none"),
} as const satisfies Table;

/** The member that answers, and the others. */
export const CLUSTER = {
  member: text("its name: `member` of its configuration"),
  state: text("`active` or `standby`; only the active one listens"),
  generation: number("of the active member: higher with each takeover"),
  lag_ms: number("for how long its copy has been behind the last write"),
  lease_left_ms: number("what its lease has left; negative when it could not be renewed in time"),
  etcd: text("`ready` or `failing`"),
  others: member<readonly Reported<typeof OTHER_MEMBER>[]>("array of members")("those that run"),
} as const satisfies Table;

/** Members of the answer about this KM. */
export const NODE = {
  km: text("this KM's ID"),
  version: text("of qkm"),
  board: text("the hardware that it runs on"),
  ready: flag("its books are read: before, it has no links and destinations to tell"),
  token: text("security module: `ready`, `gone`, `wrong-pin` or `unsuitable`"),
  store: text("key store: `ready` or `failing`"),
  seal: text("`direct` or `envelope`"),
  epoch: number("number of the KEK epoch"),
  waiting: number("requests of applications that wait for key"),
  started_at: text("when the process began, ISO 8601"),
  healthy: flag("every part of the process has said in time that it is alive"),
  silent: texts("the parts that have not"),
  loop_delay_p50_ms: number("how late its event loop turned in the last ten seconds: median"),
  loop_delay_p99_ms: number("99th percentile"),
  loop_delay_max_ms: number("the longest"),
  memory_bytes: number("memory of the process that is in RAM"),
  sessions_initiator: number("sessions open or being opened whose initiator is at home here"),
  sessions_destination: number("those whose destination is"),
  apps: number("applications at home here"),
  keys_supplied: number("keys supplied since the start"),
  keys_fetched: number("keys fetched by ID since the start"),
  cluster: member<Reported<typeof CLUSTER> | null>("object or null")(
    "its members, where it is several machines; null where it is one",
  ),
} as const satisfies Table;

/** Members of the answer about a QKD link that ends here. */
export const LINK = {
  link: text("the link's ID"),
  peer: text("the KM at its other end"),
  line: text("line to the module: `up` or `down`"),
  module: maybeText("what the module calls itself"),
  agreement: text(
    "`agreed` when both ends are configured alike, `refused` when not or out of use, `unverified` before they have compared",
  ),
  block_bytes: number("size of a link block"),
  stored_blocks: number("blocks stored, of both ends"),
  usable_blocks: number("blocks that this KM owns and can use now"),
  measured_bits_per_s: number("key that came lately; 0 before two blocks have come"),
  stated_bits_per_s: maybeNumber("secret key rate as the module states it"),
  qber: maybeNumber("quantum bit error rate as the module states it, 0 to 1"),
  pad_bytes_out: number("bytes that served as pads for keys that left here, since the start"),
  pad_bytes_in: number("bytes that served as pads for keys that came in"),
  alarms: texts("what the module complains of"),
} as const satisfies Table;

/** Members of the answer about a link of the network. */
export const TOPOLOGY_LINK = {
  link: text("the link's ID"),
  kms: texts("the KMs at its two ends"),
  cost: number("what a route over it costs"),
} as const satisfies Table;

/** Members of the answer about a KM to which keys are relayed. */
export const DESTINATION = {
  km: text("the KM's ID"),
  reachable: flag("a route leads to it"),
  connected: flag("the Kx connection with it is up"),
  synchronised: flag("keys shared with it may be used"),
  stored_keys: number("keys of the default size that could be supplied at once"),
  kma_keys: number("KMA-keys to carve them from"),
  held: number("KMA-keys of which it is the source"),
  in_flight: number("relays to it whose completion is awaited"),
  waiting: number("requests of applications that wait for key"),
  paths: number("routes that share no KM, over which each KMA-key travels in parts; 1 for no parts"),
  decided_by: text("who decides its routes: `controller` or `topology`"),
  routes: routes("what the next relay takes while all links have key and no hop has failed"),
  relays_ready: number("relays to it that succeeded since the start"),
  relays_failed: number("relays to it that did not"),
} as const satisfies Table;

/** A relay that ended. */
export const RELAY = {
  number: number("counts the relays of this start, from 1"),
  ended_at: text("when it ended, ISO 8601"),
  destination: text("where the key went"),
  transit: texts("the KMs between, in order"),
  outcome: text("`ready`, or the code of a fault of [faults.md](faults.md)"),
  failed_at: maybeText("the KM that could not go on, where the failure names one"),
  ms: number("how long it took"),
} as const satisfies Table;

/** An application at home here. */
export const APP = {
  app: text("the application's ID"),
  home: text("the KM that serves it"),
  supplied: number("keys supplied to it since the start, at all doors"),
  fetched: number("keys that it fetched by ID"),
} as const satisfies Table;

/** A warning or an error of the log. */
export const FAULT = {
  number: number("counts the warnings and errors of this start, from 1"),
  at: text("when, ISO 8601"),
  level: text("`warn` or `error`"),
  message: text("the line of the log"),
  fault: maybeText("code of a fault of [faults.md](faults.md), where the line names one"),
  alarm: maybeText("name of the alarm, where it is one"),
  about: texts("what else the line says, such as `link=ab`; long values are left out"),
} as const satisfies Table;

/** A session of the proactive mode. */
export const SESSION = {
  session: text("the session's ID"),
  role: text("role of the application at home here: `initiator` or `destination`"),
  initiator: text("the application that opened it"),
  destination: text("the application that it is with"),
  peer: text("the other application's KM"),
  state: text("where the session is in its life"),
  supplied: number("keys supplied in it"),
  budget: number("keys that may be"),
  idle_ms: number("since it was last used"),
} as const satisfies Table;

/** A certificate or trust anchor of this KM. */
export const CERTIFICATE = {
  door: text("table of the configuration that names its file"),
  use: text("`own`, or `trust` for one that signs those of clients or peers"),
  subject: text("its URI, or its subject's name where it has none"),
  not_after: text("when it expires, ISO 8601"),
  file: text("name of its file"),
} as const satisfies Table;

const { paths: _, decided_by: __, routes: ___, ...peer } = DESTINATION;
/** A destination without its routes: finding those takes a KM of a large network a while. */
export const PEER = peer satisfies Table;

const overviewPart =
  <T extends Table>(_table: T, json = "array") =>
  (meaning: string): Member<readonly Reported<T>[]> =>
    member<readonly Reported<T>[]>(json)(meaning);

/** Everything at once. */
export const OVERVIEW = {
  node: member<Reported<typeof NODE>>("object")("as in `node`"),
  links: overviewPart(LINK)("as in `links`"),
  peers: overviewPart(PEER)(
    "as in `destinations`, without `paths`, `decided_by` and `routes`; the KM itself stands for keys between its own applications",
  ),
  apps: overviewPart(APP)("as in `apps`: the 256 that were supplied most"),
  relays: overviewPart(RELAY)("as in `relays`, after `relays_after`"),
  faults: overviewPart(FAULT)("as in `faults`, after `faults_after`"),
  sessions: overviewPart(SESSION)("as in `sessions`"),
  certificates: overviewPart(CERTIFICATE)("as in `certificates`"),
} as const satisfies Table;

/** The routes that a controller has set for one destination. */
export const ROUTES_SET = {
  destination: text("the KM's ID"),
  routes: maybeRoutes("what a controller has set, in order of priority; null when the topology decides"),
} as const satisfies Table;

/** One application of the directory. */
export const DIRECTORY_ENTRY = {
  app: text("the application's ID"),
  home: text("the KM that serves it"),
} as const satisfies Table;

const maybeEntries = member<readonly Reported<typeof DIRECTORY_ENTRY>[] | null>("array of entries, or null");

/** The directory of applications, as a controller told it. */
export const DIRECTORY = {
  revision: number("counts the changes here; 0 while no controller has told any. Every KM counts by itself"),
  apps: number("applications in it"),
  fingerprint: text("32 hexadecimal digits, the same for the same entries"),
  controller: maybeText("who told the last change"),
  changed_at: maybeText("when, ISO 8601"),
  confirmed_at: maybeText("when a controller last told, since the KM's start, that it is right"),
  age_s: maybeNumber("seconds since the later of the two"),
  entries: maybeEntries("with `?from=N`: at most 1,000, from the one with number N on; they begin with 0"),
  next: maybeNumber("number to go on with; null behind the last"),
} as const satisfies Table;
