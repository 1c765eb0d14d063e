// The counters that a KM exports: one table; metrics, documentation and types follow from it.

interface CounterRow {
  readonly help: string;
  readonly labels: readonly string[];
}

const counter = (help: string, ...labels: string[]): CounterRow => ({ help, labels });

/** Prometheus names get the prefix `qkm_` and the suffix `_total`. */
export const COUNTERS = {
  blocks_received: counter("link blocks that arrived from a module and are sealed and durable", "link"),
  blocks_duplicate: counter("link blocks that arrived again and were dropped", "link"),
  blocks_run_went_back: counter(
    "link blocks of an earlier run than the link has had, dropped: a module pair was replaced, or told a wrong run",
    "link",
  ),
  blocks_refused: counter("link blocks of a wrong size or name", "link"),
  blocks_ended: counter("link blocks that ended without use, by reason", "link", "reason"),
  source_blocks_failed: counter(
    "link blocks that were not made of the keys of a vendor's boxes, by fault",
    "link",
    "fault",
  ),
  bytes_received: counter("bytes of key that arrived from a module", "link"),
  kma_keys_sent: counter("KMA-keys whose relay began here", "peer"),
  kma_keys_ready: counter("KMA-keys proved equal at both ends, ready to carve", "peer"),
  kma_keys_held: counter("KMA-keys accepted from a source KM", "peer"),
  kma_keys_ended: counter("KMA-keys that ended, by role and reason", "peer", "role", "reason"),
  kma_bytes_lost: counter(
    "bytes of KMA-keys that ended neither supplied nor fetched, by reason",
    "peer",
    "role",
    "reason",
  ),
  keys_supplied: counter(
    "KSA-keys supplied to their initiator; door `session`: pushed to the destination of a session",
    "app",
    "door",
  ),
  keys_fetched: counter(
    "KSA-keys fetched by ID; door `session`: supplied to the initiator of a session",
    "app",
    "door",
  ),
  keys_undelivered: counter("KSA-keys whose application had gone when they were ready", "app"),
  keys_unacknowledged: counter(
    "KSA-keys pushed in a session that their application did not acknowledge: destroyed",
    "app",
  ),
  key_ids_refused: counter("key IDs that a peer named in a session and that are none of its keys", "peer"),
  sessions_opened: counter("sessions opened, by the role of the application at home here", "role"),
  sessions_refused: counter("sessions that were not opened, by fault", "role", "fault"),
  sessions_ended: counter("sessions that ended, by reason", "role", "reason"),
  requests_refused: counter("requests refused, by fault", "door", "fault"),
  frames_refused: counter("frames that ended a connection, by reason", "door", "reason"),
  answers_dropped: counter("answers to no open request", "door"),
  connections_opened: counter(
    "connections accepted or dialled, by key exchange group, TLS version and cipher suite",
    "door",
    "group",
    "tls",
    "cipher",
  ),
  connections_refused: counter("connections refused, by reason", "door", "reason"),
  relays_refused: counter("key relays refused by or to a peer, by fault", "peer", "direction", "fault"),
  transits: counter("key relays of others passed on and completed", "from", "to"),
  transits_failed: counter("key relays of others that failed here or beyond, by fault", "from", "to", "fault"),
  kma_keys_relayed: counter("KMA-keys that left under pads of a link", "link"),
  pad_bytes: counter("bytes of link blocks that served as pads, out of here or in", "link", "direction"),
  pad_bytes_lost: counter(
    "bytes of link blocks that were to be pads and protect nothing, by reason",
    "link",
    "direction",
    "reason",
  ),
  border_keys: counter(
    "keys that came or left over a border (ETSI GS QKD 020), by what became of them",
    "border",
    "direction",
    "outcome",
  ),
  controller_requests: counter("requests of the QKDN controller, by HTTP method and status", "method", "status"),
  line_faults: counter("frames of a module that were damaged, repeated or out of order", "link", "kind"),
  token_faults: counter("times the token went away or failed", "kind"),
  store_faults: counter(
    "commits that the store rejected (rejected), stores set aside (damaged), files that were gone (vanished)",
    "kind",
  ),
  rows_lost: counter("rows of the store that were not as they had been written, removed at the start", "table"),
  audit_batches: counter("batches of events sealed and durable in the audit log"),
  audit_faults: counter("times the audit log could not be sealed or written", "kind"),
  epochs: counter("KEK epochs begun"),
  watchdog_kicks: counter("kicks of the hardware watchdog"),
  watchdog_kicks_withheld: counter("kicks that the hardware watchdog did not get, for a part was silent"),
  syslog_sent: counter("messages given to the syslog server"),
  syslog_lost: counter("messages for the syslog server that are lost, by reason: overflow, memory, disk", "reason"),
  alarms: counter("alarms raised", "alarm"),
} as const satisfies Record<string, CounterRow>;

/** The name of a counter, without the prefix `qkm_` that Prometheus sees. */
export type CounterName = keyof typeof COUNTERS;

/** Why a block or KMA-key ended unused, with the sentence for the manual. */
export const END_REASONS = {
  expired: "older than max_age (source) or max_age and fetch_window (destination)",
  overflow: "the oldest of more than the store may keep",
  mismatch: "the two ends held different bits",
  gap: "the other end never had it, or has it no more",
  given_up: "its relay failed or was not completed in time",
  lost_at_restart: "reserved or marked as used ahead when the process ended",
  restored: "the store was a restored copy",
  forgotten: "an operator began anew with the peer, or with the module pair of the link",
  clock: "the wall clock was behind the last saved time",
  tail: "the rest was too short for any key",
  unreadable: "the record could not be unsealed",
} as const;

/** Why a block or KMA-key ended unused, as counters and audit log name it. */
export type EndReason = keyof typeof END_REASONS;

/** Why a session ended, with the sentence for its applications and the manual. */
export const SESSION_ENDS = {
  budget: "its budget is spent",
  idle: "it was idle for too long",
  refused: "the destination application acknowledged none of the keys pushed to it",
  left: "the initiator gave it up while it was being opened",
  peer: "the key manager at the other end knows it no more",
  restarted: "the key manager at the other end was started again",
  stopped: "its key manager was stopped",
  disowned: "the certificate of one of its applications was revoked, or the application was removed or moved",
} as const;

/** Why a session ended, as peers, applications and counters are told. */
export type SessionEnd = keyof typeof SESSION_ENDS;
