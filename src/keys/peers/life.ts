// The life cycle of what is shared with another KM: one field, one table.
//
//   unknown ──connected──> exchanging ──told, heard, in either order──> synchronised
//      ^                        │                                           │
//      └──────disconnected──────┘           away <──────disconnected────────┘
//                                             └──connected──> exchanging

/** `told`: our state has reached the peer. `heard`: the peer's is applied here. Both are needed. */
export const PEER_LIFE = {
  /** Never synchronised, or an exchange broke off: nothing shared with the peer is carved. */
  unknown: { connected: "exchanging" },
  exchanging: { told: "told", heard: "heard", connected: "exchanging", disconnected: "unknown" },
  told: { heard: "synchronised", connected: "exchanging", disconnected: "unknown" },
  heard: { told: "synchronised", connected: "exchanging", disconnected: "unknown" },
  synchronised: { connected: "exchanging", disconnected: "away" },
  /** Keys in stock are supplied on; none come. */
  away: { connected: "exchanging" },
} as const;
