// Sizes and times of Kq: what both ends must agree on, and what each may choose.

/** Version of this protocol, the first byte of every hello. */
export const KQ_VERSION = 1;
/** Random bytes that each end contributes to a connection. */
export const NONCE_BYTES = 16;
/** Authentication tag of a protected frame, and proof in a hello. */
export const TAG_BYTES = 16;
/** Code (1) and number (4) before the body. */
export const HEADER_BYTES = 5;
/** CRC-32 behind the body. */
export const CHECK_BYTES = 4;
/** Largest frame before COBS; a longer one is garbage. */
export const MAX_FRAME_BYTES = 16_448;
/** Largest piece of a block in one frame. */
export const MAX_FRAGMENT_BYTES = 16_384;
/** Largest frame on the line without its final zero: COBS adds one byte in 254. */
export const MAX_CODED_BYTES = MAX_FRAME_BYTES + Math.ceil(MAX_FRAME_BYTES / 254);

/** What one end may choose for itself. Times are milliseconds. */
export interface Limits {
  /** Numbered frames that may be on their way unacknowledged. */
  readonly window: number;
  /** Numbered frames after which an acknowledgement goes out at once. */
  readonly ackEvery: number;
  /** Longest wait of what the other end waits for: a block, or credit where it has none left. */
  readonly gatherMs: number;
  /** Longest wait for company of what the other end can do without: an acknowledgement, a receipt, more credit. */
  readonly restMs: number;
  /** How often deadlines are looked at. */
  readonly tickMs: number;
  /** First wait between two hellos; doubles up to `helloMaxMs`. */
  readonly helloMs: number;
  readonly helloMaxMs: number;
  /** First wait for an acknowledgement before frames go out again; doubles up to `resendMaxMs`. */
  readonly resendMs: number;
  readonly resendMaxMs: number;
  /** The module speaks at least this often. */
  readonly statusMs: number;
  /** The host, hearing nothing for so long, acknowledges again: a dead port is noticed by writing to it. */
  readonly nudgeMs: number;
  /** Without one good frame for so long an end begins again with hello. */
  readonly silenceMs: number;
  /** Blocks that the host has room for at most. */
  readonly maxCredit: number;
  /** Highest number of a frame: a new connection follows, so that no number is used twice under one key. */
  readonly lastNumber: number;
}

/** The limits of both ends unless a test says otherwise. */
export const LIMITS: Limits = {
  window: 128,
  ackEvery: 32,
  gatherMs: 2,
  restMs: 20,
  tickMs: 100,
  helloMs: 200,
  helloMaxMs: 2_000,
  resendMs: 300,
  resendMaxMs: 2_400,
  statusMs: 500,
  nudgeMs: 1_000,
  silenceMs: 5_000,
  maxCredit: 64,
  lastNumber: 0xffff_ffff,
};
