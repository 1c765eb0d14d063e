// The gauges that a KM exports: one table; metrics, documentation and types follow from it.

interface GaugeRow {
  readonly help: string;
  readonly labels: readonly string[];
}

const gauge = (help: string, ...labels: string[]): GaugeRow => ({ help, labels });

/** Prometheus names get the prefix `qkm_`; the unit, where there is one, is in the name. */
export const GAUGES = {
  link_up: gauge("1 while the module's line is up", "link"),
  link_out_of_use: gauge("1 while an operator has the link out of use", "link"),
  link_key_rate_bits_per_second: gauge("secret key rate as the module states it", "link"),
  link_measured_bits_per_second: gauge("key that the module brought lately", "link"),
  link_qber_ratio: gauge("quantum bit error rate as the module states it, 0 to 1", "link"),
  link_stored_blocks: gauge("link blocks stored", "link"),
  link_usable_blocks: gauge("link blocks stored that this KM may decide to use now", "link"),
  peer_connected: gauge("1 while the Kx connection with the peer is up", "peer"),
  peer_synchronised: gauge("1 while keys shared with the peer may be used: the state exchange has ended", "peer"),
  stock_keys: gauge("keys of the default size that could be supplied towards a peer now", "peer"),
  stock_kma_keys: gauge("KMA-keys by role: source (to be carved here) or destination (held here)", "peer", "role"),
  relays_in_flight: gauge("KMA-keys sent whose completion is awaited", "peer"),
  sessions: gauge("sessions open or being opened, by the role of the application at home here", "role"),
  requests_waiting: gauge("requests for keys that wait for stock", "peer"),
  connections: gauge("connections open or on their way", "door"),
  healthy: gauge("1 while every part of the process has said in time that it is alive"),
  part_silent_seconds: gauge("since a part last said that it is alive", "part"),
  watchdog_armed: gauge("1 while the hardware watchdog is open and resets the machine when it is not kicked"),
  token_ready: gauge("1 while the security module is ready"),
  syslog_connected: gauge("1 while the syslog server is connected"),
  syslog_waiting_bytes: gauge("bytes of messages that wait for the syslog server"),
  store_ready: gauge("1 while the key store can be written"),
  epoch: gauge("number of the KEK epoch"),
  cluster_active: gauge("1 while this member of the KM is the active one, 0 while it is a standby"),
  cluster_generation: gauge("generation of the active member: higher with each takeover"),
  cluster_lag_seconds: gauge("for how long this standby's copy has been behind the last write"),
  cluster_lease_seconds: gauge("what this member's lease has left; negative when it could not be renewed in time"),
  cluster_etcd_ready: gauge("1 while etcd answers"),
  directory_apps: gauge("applications in the directory that a controller has told"),
  directory_revision: gauge("revision of that directory: how often it was changed here"),
  directory_age_seconds: gauge("since a controller last told the directory, or that it is right"),
  certificate_expires_seconds: gauge(
    "until the first of a door's certificates expires, by use (own, trust), or of its revocation lists (crl); below 0 when one has",
    "door",
    "use",
  ),
  memory_slots: gauge("block slots of the locked memory, by state (all, pinned, intake)", "state"),
  resident_memory_bytes: gauge("memory of the process that is in RAM"),
  loop_delay_seconds: gauge("event loop delay of the last measured window, by quantile (0.5, 0.99, 1)", "quantile"),
} as const satisfies Record<string, GaugeRow>;

/** The name of a gauge, without `qkm_`. */
export type GaugeName = keyof typeof GAUGES;

/** Sets one gauge for the scrape under way. A gauge that is not set is not exported. */
export type SetGauge = (name: GaugeName, value: number, labels?: Readonly<Record<string, string>>) => void;

/** Tells all gauges; called at each scrape. */
export type Collect = (set: SetGauge) => void;
