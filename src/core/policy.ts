// What an operator decides of supply, relay and sessions: one field for each key of the configuration that the key manager
// reads, in its units. The configuration gives these values, the key manager takes them: a field that one of them lacks does
// not compile.

/** Limits of the proactive mode (design 6). A KM has them for the sessions of its applications, whatever the peer's are. */
export interface SessionPolicy {
  /** Sessions at a time that were opened here, and as many more that were opened elsewhere with applications of this KM. */
  readonly max: number;
  /** The same for one application. */
  readonly maxPerApp: number;
  /** The largest budget, and that of a session which names none; in keys. */
  readonly maxKeys: number;
  /** A session that was not used for so long ends. */
  readonly idleMs: number;
  /** How long an application may take to answer that it takes part (0x2107). */
  readonly notifyMs: number;
  /** How long an application may take to acknowledge the keys of one push (0x210B). */
  readonly acknowledgeMs: number;
}

/** How keys are supplied and relayed (`[supply]`). Times in ms, amounts in KMA-keys unless the name says otherwise. */
export interface SupplyPolicy {
  readonly defaultKeyBits: number;
  /** How long a request waits for stock. */
  readonly timeoutMs: number;
  /** Requests that may wait, all applications together. */
  readonly maxWaiting: number;
  readonly maxAgeMs: number;
  /** How much longer than `maxAgeMs` a destination keeps its copy. */
  readonly fetchWindowMs: number;
  readonly relayTimeoutMs: number;
  /** Relays to a destination begin below `stockLow` and stop at `stockHigh`. */
  readonly stockLow: number;
  readonly stockHigh: number;
  /** What one source may have here. */
  readonly maxHeld: number;
}
