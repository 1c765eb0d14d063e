// The events of the audit log: one table; its lines, its documentation and the types follow from it.

interface EventRow {
  /** What happened, for the manual. */
  readonly help: string;
  /** By name, with the meaning for the manual. */
  readonly fields: Readonly<Record<string, string>>;
  /** What `runs` tells the places of. */
  readonly runs?: string;
  /** What `count` counts; it is 1 where it is absent. */
  readonly counts?: string;
}

const event = <const Fields extends Readonly<Record<string, string>>>(
  help: string,
  fields: Fields,
  more: Pick<EventRow, "runs" | "counts"> = {},
): EventRow & { readonly fields: Fields } => ({ help, fields, ...more });

const BLOCK = { link: "the link's ID", run: "the module pair's start, as in the block's name" };
const KMA_KEY = { peer: "the other KM", serial: "of the KMA-key" };
const ROLE = "`source`: we carve it; `destination`: we hold it for the other KM";
const REASON = "why, one of the reasons in [metrics.md](metrics.md)";
const KEYS = {
  door: "`ak`, `etsi014`, `etsi004`, `skip`, `session`, `etsi020` (leaving over a border) or `multicast` (as pad of keys that several applications get)",
  initiator: "the application that is supplied first",
  target: "the application that fetches by ID",
  ...KMA_KEY,
  bits: "size of each key",
};
const BORDER = {
  peer: "the key manager of the other network",
  initiator: "the application that is supplied first",
  target: "the application that fetches by ID",
};
const WHOLE = { peer: "the strict peer", block: "the stored block that they lie in" };

/** Every kind of event of the audit log with its fields; types, checks and docs/audit.md follow from it. */
export const AUDIT_EVENTS = {
  log_begun: event("a log was begun: nothing lies before it", { km: "the KM's ID" }),
  started: event("the process began", {
    km: "the KM's ID",
    version: "of qkm",
    board: "as configured",
    configuration: "SHA-256 of the configuration file",
  }),
  stopping: event("the process was told to end", { why: "a signal, a command" }),
  tail_cut: event("the process had ended in the middle of a write: what no seal covers was cut off", {
    file: "the segment",
    bytes: "that were cut off",
  }),
  chain_broken: event("at the start the newest segment was found changed; the log goes on in a new one", {
    file: "the segment",
    why: "what is wrong, and where",
  }),
  log_behind: event("at the start the log was found shorter than, or other than, it is known to have been", {
    sequence: "of its last seal",
    witness: "`store` or `token`",
    known: "the sequence of a seal that there was",
  }),
  segments_removed: event(
    "the oldest segments were removed, for there were more than `max_bytes`; or somebody had moved them away",
    {
      first: "sequence of the first seal removed",
      last: "and of the last",
    },
  ),
  events_lost: event(
    "neither token nor disk took anything for so long that events did not fit the memory",
    {},
    {
      counts: "events",
    },
  ),
  blocks_stored: event("link blocks came from the module, sealed and durable", BLOCK, {
    runs: "sequences of the blocks",
    counts: "blocks",
  }),
  blocks_found: event(
    "link blocks were in the store at a start: also those whose arrival a kill kept from the log",
    BLOCK,
    {
      runs: "sequences of the blocks",
      counts: "blocks",
    },
  ),
  blocks_ended: event(
    "link blocks were destroyed unused",
    { ...BLOCK, reason: REASON },
    {
      runs: "sequences of the blocks",
      counts: "blocks",
    },
  ),
  pads_used: event(
    "bytes of a link block served as pad for a KMA-key on this hop",
    {
      ...BLOCK,
      sequence: "of the block",
      direction: "`out`: the key left here; `in`: it came",
      source: "the KMA-key's source",
      destination: "and its destination",
      serial: "of the KMA-key",
    },
    { runs: "bytes of the block" },
  ),
  pads_lost: event(
    "bytes of link blocks that were to be pads protect nothing",
    { link: "the link's ID", direction: "`out` or `in`", reason: REASON },
    { counts: "bytes" },
  ),
  kma_key_made: event("a KMA-key was made of link blocks, or by the token; its relay begins", {
    ...KMA_KEY,
    route: "`direct`, `relayed`, `multipath`, or `local`: between two applications of this KM",
    blocks: "its link blocks, as `link:run:sequence`",
    via: "the KMs between, by route",
    bytes: "its length",
  }),
  kma_keys_ready: event(
    "KMA-keys were proved equal at both ends",
    { peer: "the other KM" },
    {
      runs: "serials",
      counts: "KMA-keys",
    },
  ),
  kma_key_held: event("a KMA-key came from its source and is held here", {
    ...KMA_KEY,
    block: "the stored block that it lies in: `link:…` when it is a link block",
    bytes: "its length",
  }),
  kma_part_held: event("a part of a KMA-key came", {
    ...KMA_KEY,
    part: "which",
    parts: "of how many",
    block: "the stored block that it lies in",
  }),
  kma_parts_ended: event("the parts of a KMA-key that had come were destroyed", { ...KMA_KEY, reason: REASON }),
  kma_keys_found: event(
    "KMA-keys were in the store at a start",
    { peer: "the other KM", role: ROLE },
    {
      runs: "serials",
      counts: "KMA-keys",
    },
  ),
  fetched_found: event(
    "bytes of a KMA-key that the store says are fetched, at a start: also those whose fetching a kill kept from the log",
    KMA_KEY,
    { runs: "bytes of the KMA-key" },
  ),
  kma_key_ended: event("a KMA-key ended: what was left of it is destroyed", {
    ...KMA_KEY,
    role: ROLE,
    reason: REASON,
    bytes: "that nobody got",
  }),
  kma_keys_spent: event(
    "KMA-keys were used up",
    { peer: "the other KM", role: ROLE },
    {
      runs: "serials",
      counts: "KMA-keys",
    },
  ),
  orphan_destroyed: event("a block that no row of the store names was destroyed at the start", {
    block: "its name in the store",
  }),
  lost_at_restart: event(
    "the process had ended without a stop: below the durable mark it is not known which keys were supplied, and none is again",
    { ...KMA_KEY, mark: "everything before it counts as used", most: "bytes in doubt at most" },
  ),
  relay_given_up: event("a key relay that began here failed", {
    ...KMA_KEY,
    fault: "its code, see [faults.md](faults.md)",
    failed_at: "the KM that could not go on, where it is known",
  }),
  relay_passed: event(
    "a key relay of others went through here and was completed",
    {
      from: "the hop before",
      to: "the next hop",
      source: "the KMA-key's source",
      destination: "and its destination",
    },
    { runs: "serials" },
  ),
  relay_failed: event("a key relay of others failed here or beyond", {
    from: "the hop before",
    to: "the next hop",
    source: "the KMA-key's source",
    destination: "and its destination",
    serial: "of the KMA-key",
    fault: "its code",
  }),
  keys_supplied: event("keys were supplied, or pushed to the destination of a session", KEYS, {
    runs: "bytes of the KMA-key",
    counts: "keys",
  }),
  keys_fetched: event("keys were fetched by ID, or supplied to the initiator of a session", KEYS, {
    runs: "bytes of the KMA-key",
    counts: "keys",
  }),
  keys_undelivered: event(
    "the application of the last keys supplied or fetched had gone: they are destroyed",
    { door: "as above", app: "the application", peer: "the other KM" },
    { counts: "keys" },
  ),
  keys_unacknowledged: event(
    "keys pushed in a session were not acknowledged: they are destroyed, and supplied to nobody",
    { app: "the application", session: "its ID" },
    { counts: "keys" },
  ),
  whole_keys_made: event("whole keys of the token's random generator were relayed to a strict peer", WHOLE, {
    counts: "keys",
  }),
  whole_keys_held: event("whole keys came from a strict peer", WHOLE, { counts: "keys" }),
  whole_keys_supplied: event(
    "whole keys were supplied",
    { door: "as above", app: "who asked", ...WHOLE },
    {
      runs: "places of the keys in the block, from 0",
      counts: "keys",
    },
  ),
  whole_keys_fetched: event(
    "whole keys were fetched by ID",
    { door: "as above", app: "who asked", ...WHOLE },
    {
      runs: "places of the keys in the block, from 0",
      counts: "keys",
    },
  ),
  whole_keys_ended: event("whole keys ended unused", { ...WHOLE, role: ROLE, reason: REASON }, { counts: "keys" }),
  multicast_supplied: event(
    "keys that several applications get were supplied to the first",
    {
      door: "as above",
      initiator: "who asked",
      targets: "who else may fetch them, with spaces between",
      block: "the stored block that they lie in",
      bits: "size of each key",
    },
    { counts: "keys" },
  ),
  multicast_held: event(
    "keys that several applications get are held here for one of them",
    { peer: "home of the initiator", initiator: "who asked for them", target: "whose copy it is", block: "its block" },
    { counts: "keys" },
  ),
  multicast_fetched: event(
    "keys that several applications get were fetched by ID",
    {
      door: "as above",
      peer: "home of the initiator",
      initiator: "who asked for them",
      target: "who fetched",
      block: "its block",
    },
    { runs: "places of the keys in the block, from 0", counts: "keys" },
  ),
  border_keys_held: event(
    "keys came over a border and are held under their foreign IDs",
    { ...BORDER, block: "the stored block that they lie in" },
    { counts: "keys" },
  ),
  border_keys_fetched: event(
    "keys that came over a border were fetched by ID",
    { door: "as above", app: "who asked", peer: "the key manager of the other network", block: "the stored block" },
    { runs: "places of the keys in the block, from 0", counts: "keys" },
  ),
  border_keys_sent: event(
    "keys are about to leave over a border: from now on the other network may have them",
    { ...BORDER, block: "the stored block that they lie in" },
    { counts: "keys" },
  ),
  border_keys_left: event(
    "keys that were to leave over a border are destroyed here",
    { ...BORDER, block: "the stored block", outcome: "`relayed`, or why not: `failed`, `refused`, `given up`" },
    { counts: "keys" },
  ),
  border_keys_voided: event(
    "a void of keys over a border was answered",
    { ...BORDER, direction: "`in`: of keys that came; `out`: of keys that left", outcome: "`ack_status`" },
    { counts: "keys" },
  ),
  session_opened: event("a session was opened", {
    session: "its ID",
    role: "of the application at home here: `initiator` or `destination`",
    initiator: "the application that opened it",
    target: "the other",
    peer: "the other KM",
  }),
  session_ended: event("a session ended", {
    session: "its ID",
    role: "as above",
    peer: "the other KM",
    reason: "why, one of the reasons in [metrics.md](metrics.md)",
    keys: "that it supplied",
  }),
  stream_opened: event("a key stream (ETSI GS QKD 004) was opened by an application at home here", {
    stream: "its Key_stream_ID",
    initiator: "the application that opened it",
    target: "the other",
    peer: "the other KM",
  }),
  stream_closed: event("an application at home here closed its end of a key stream", {
    stream: "its Key_stream_ID",
    app: "who closed it",
    peer: "the other KM",
  }),
  peer_synchronised: event("a peer is connected and both ends know what the other holds", { peer: "the other KM" }),
  peer_lost: event("the connection with a peer has ended", { peer: "the other KM" }),
  connection_opened: event("a connection was admitted", {
    door: "the listener, or `kx` also when we dialled",
    id: "who, by the certificate",
    certificate: "its serial number",
  }),
  connection_refused: event("a connection was refused", {
    door: "the listener",
    reason: "why",
    who: "the names in the certificate, as far as there is one",
  }),
  connection_cut: event("an open connection was closed, for what let it in is good no more", {
    door: "the listener, or `kx` also when we dialled",
    id: "who, by the certificate",
    reason: "why: the certificate has expired or is revoked, its authority or its application is known no more",
  }),
  configuration_changed: event("a reload has taken a change of node.toml", {
    key: "such as `supply.timeout_ms`, `apps.app-a3`, `apps.app-a3.home`",
    what: "`added`, `removed` or `changed`",
  }),
  credentials_renewed: event(
    "certificate, key, trust anchors or revocation lists of a door were read anew and differ",
    {
      table: "of the configuration",
    },
  ),
  routes_set: event("the controller set the routes to a KM, or gave them back to the topology", {
    controller: "who, by the certificate",
    destination: "the KM",
    routes: "the KMs between, by route; absent for those of the topology",
  }),
  directory_told: event("the controller changed the directory: which KM is the home of which application", {
    controller: "who, by the certificate",
    revision: "of the directory, from now on",
    apps: "applications in it",
    added: "applications that are new in it",
    moved: "those that have another home",
    removed: "those that are named no more",
    fingerprint: "of all entries",
  }),
  app_home: event("one of these applications; of a change of more than 256, the first", {
    revision: "of the directory",
    app: "the application",
    home: "its home; absent when it was removed",
    before: "its home before; absent when it is new",
  }),
  peer_forgotten: event("an operator began anew with a peer: all that was shared with it is destroyed", {
    peer: "the other KM",
  }),
  module_accepted: event("an operator accepted a new module pair: all blocks of the link are destroyed", {
    link: "the link's ID",
  }),
  alarm: event("an alarm was raised", { alarm: "its name, as in the counter `qkm_alarms_total`" }),
  epoch_begun: event("a KEK epoch began", {}),
  token: event("the security module came or went", { state: "as `qkm status` tells it" }),
  zeroised: event("all keys are destroyed from here on: memory, keys in the token, store", {}),
  console: event("a person did something at the console or by a command", {
    actor: "who logged in, or the operating system's user",
    what: "the command",
  }),
} as const satisfies Record<string, EventRow>;

/** The name of an event of the audit log. */
export type AuditKind = keyof typeof AUDIT_EVENTS;

/** The fields of an event; one that is undefined is left out. */
export type AuditFields<Kind extends AuditKind> = Readonly<
  Record<keyof (typeof AUDIT_EVENTS)[Kind]["fields"], string | number | undefined>
>;

/** Where it lies, from `first` up to but without `end`, and how many things it is; all optional. */
export interface AuditExtent {
  readonly first?: number;
  readonly end?: number;
  /** 1 when absent. */
  readonly count?: number;
}
