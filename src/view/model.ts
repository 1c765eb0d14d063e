// What the view's server tells its page: shapes of JSON, types only, shared by both.

/** `trouble`: it answers, and something of it does not work. `silent`: it does not answer. */
export type KmState = "ready" | "starting" | "trouble" | "silent";

/** One KM on the map. */
export interface KmSummary {
  readonly id: string;
  readonly state: KmState;
  /** Why it is not `ready`; empty when it is. */
  readonly why: string;
  /** Keys supplied and fetched, a second. */
  readonly keysPerS: number;
  /** Requests of applications that wait for key. */
  readonly waiting: number;
  readonly apps: number;
}

/** `disagrees`: a tag over key of this link did not fit a short while ago. `half`: one of its ends is down. */
export type LinkState = "up" | "disagrees" | "half" | "down" | "unknown";

/** One QKD link, of what both ends tell. */
export interface LinkSummary {
  readonly id: string;
  readonly kms: readonly [string, string];
  readonly state: LinkState;
  /** Why it is not `up`; empty when it is. */
  readonly why: string;
  /** Secret key rate: as measured by the KMs where they have measured, else as the modules state it. */
  readonly bitsPerS: number | null;
  /** Quantum bit error rate, 0 to 1. */
  readonly qber: number | null;
  /** Link blocks that the two ends may use now, together. */
  readonly usableBlocks: number;
}

/** How one key relay ended. */
export interface RelayEvent {
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** All KMs of the route: source, transit, destination. */
  readonly route: readonly string[];
  /** `ready`, or the code of a fault. */
  readonly outcome: string;
  readonly failedAt: string | null;
  readonly ms: number;
}

/** A warning or an error of a KM's log, or what the view noticed itself. */
export interface FaultEvent {
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly km: string;
  readonly level: "warn" | "error";
  readonly message: string;
  /** Code of the fault, where the line names one. */
  readonly fault: string | null;
  /** What to do, as the manual says. */
  readonly remedy: string | null;
  /** Such as `link=ab`. */
  readonly about: readonly string[];
}

/** What the event stream sends, once a second: all KMs and links, and the events since the last one sent. */
export interface Snapshot {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly kms: readonly KmSummary[];
  readonly links: readonly LinkSummary[];
  /** Oldest first. */
  readonly relays: readonly RelayEvent[];
  readonly faults: readonly FaultEvent[];
}

/** One line of a plot; as many values as there are times, null where nothing is known. */
export interface Series {
  readonly label: string;
  readonly values: readonly (number | null)[];
}

/** What a curve is measured in. */
export type Unit = "bit/s" | "ratio" | "blocks" | "keys" | "keys/s" | "ms";

/** One diagram: its curves over a common time axis. */
export interface Plot {
  readonly title: string;
  readonly unit: Unit;
  readonly series: readonly Series[];
}

/** The last hour of the network, a KM or a link. */
export interface History {
  /** Seconds since 1970, oldest first. */
  readonly times: readonly number[];
  readonly plots: readonly Plot[];
}

/** A table of the detail of one KM or link. */
export interface DetailTable {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** Text of a cell, and how it is to be marked. */
export interface Cell {
  readonly text: string;
  readonly mark?: "good" | "warn" | "bad";
}

/** One KM or link in detail. */
export interface Detail {
  readonly title: string;
  readonly facts: readonly (readonly [name: string, value: Cell])[];
  readonly tables: readonly DetailTable[];
}
