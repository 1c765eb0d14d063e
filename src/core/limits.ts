// How much one message of Ak, Kx or a controller may name: one table, so that what one reference point takes the others do.

/** A number that holds, or a function that is asked each time: for a limit that a reload may change. */
export type Limit = number | (() => number);

/** What a limit is now. */
export const limitNow = (limit: Limit): number => (typeof limit === "number" ? limit : limit());

/** Limits of single messages. What exceeds one is refused as MALFORMED_REQUEST. */
export const LIMITS = {
  /** Segments of link blocks that serve as the pad of one relayed key; one block and a tag need at most 10 of 4 KiB. */
  pads: 16,
  /** Parts of one KMA-key, each over a route of its own. */
  parts: 16,
  /** Applications at home at one KM that get the same multicast keys; the initiator names as many beside the first. */
  multicastApps: 16,
  /** KMs between the ends of a route. */
  transits: 64,
  /** Keys in one message. */
  keys: 1024,
  /** Bytes of the largest link block. */
  blockBytes: 32_768,
  /** Characters of session IDs, request IDs, key IDs of strict peers and application names. */
  nameChars: 256,
} as const;
