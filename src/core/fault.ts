// The one table of faults, and the one error class that carries them.

interface FaultRow {
  /** Status at the ETSI GS QKD 014 door (strict clients know 400, 401 and 503). */
  readonly http: 400 | 401 | 503;
  /** Whether the same request may succeed later. */
  readonly retry: boolean;
  /** The sentence behind the code, wherever the door has no words of its own for it. */
  readonly text: string;
  /** The `message` that ETSI GS QKD 014 prescribes. */
  readonly etsi014?: string;
  /** The sentence of the manual: what it means, and what to do. */
  readonly manual: string;
  /** When to retry, where whoever refuses knows no better. */
  readonly retryAfterMs?: number;
}

const row = (http: FaultRow["http"], retry: boolean, text: string, manual: string): FaultRow => ({
  http,
  retry,
  text,
  manual,
});

/** Every fault: HTTP status, whether a retry helps, the response text, and the sentence for docs/faults.md. */
export const FAULTS = {
  MALFORMED_REQUEST: row(
    400,
    false,
    "the request is malformed",
    "A parameter is missing, of the wrong type or out of bounds; the text says which.",
  ),
  UNKNOWN_APPLICATION: row(
    400,
    false,
    "the application named is not known here",
    "Neither the configuration nor the controller names this application. Add it under [[apps]] at every KM.",
  ),
  KEY_SIZE_INVALID: row(
    400,
    false,
    "size is out of bounds",
    "Ask for a size between the status' min_key_size and max_key_size.",
  ),
  KEY_SIZE_NOT_BYTES: {
    ...row(
      400,
      false,
      "keys are whole bytes: their size must be a multiple of 8 bits",
      "Keys are whole bytes (ETSI GS QKD 014 6.2).",
    ),
    etsi014: "size shall be a multiple of 8",
  },
  TOO_MANY_KEYS: row(
    400,
    false,
    "more keys than one request may have",
    "The answer would not fit a frame of 65,535 bytes; ask several times.",
  ),
  KEY_NOT_FOUND: {
    ...row(
      400,
      false,
      "one or more of the keys named are not found here",
      "The key was fetched before, has expired, was never supplied, or its ID is misspelt. Nothing was consumed.",
    ),
    etsi014: "one or more keys specified are not found on KME",
  },
  NOT_AUTHORIZED: row(
    401,
    false,
    "the keys were not made for these two applications",
    "The key ID belongs to another pair of applications, or the initiator is named wrongly.",
  ),
  NOT_AT_HOME: row(
    401,
    false,
    "another key manager is this application's home",
    "The application's certificate is good, but its home, by its [[apps]] entry or the controller's directory, is another KM, which the text tells. Connect to that one.",
  ),
  EXTENSION_UNSUPPORTED: {
    ...row(
      400,
      false,
      "not all mandatory extensions are known here",
      "A mandatory extension is not known here; the details name it.",
    ),
    etsi014: "not all extension_mandatory parameters are supported",
  },
  EXTENSION_UNMET: {
    ...row(
      400,
      false,
      "not all mandatory extensions can be met now",
      "A mandatory extension is known but its value cannot be met now.",
    ),
    etsi014: "not all extension_mandatory request options could be met",
  },
  INSUFFICIENT_KEYS: row(
    503,
    true,
    "there is not enough key",
    "The links do not deliver key fast enough for what is asked. Ask again after the time given.",
  ),
  QUOTA_EXCEEDED: row(
    503,
    true,
    "the application's quota is spent",
    "The application asks faster than its quota (rate and burst) allows. Ask again after the time given.",
  ),
  BUSY: {
    ...row(503, true, "too many requests are waiting", "The queue of waiting requests is full. Ask again later."),
    retryAfterMs: 1_000,
  },
  DIRECTORY_CHANGED: row(
    400,
    false,
    "the directory is at another revision",
    "A controller told a change of the directory for a revision that this KM does not have: another controller was faster, or the store was restored. Read it again.",
  ),
  PEER_UNAVAILABLE: row(
    503,
    true,
    "the key manager at the other end cannot be reached",
    "The Kx connection is down or the state exchange has not ended; the log of both KMs says why.",
  ),
  BORDER_REFUSED: row(
    503,
    false,
    "the key manager of the other network does not take the keys",
    "It answered 400 or 401, or could not relay them to their application; the log has its words. Nothing was supplied.",
  ),
  CONNECTION_REFUSED: row(
    401,
    false,
    "the connection is refused",
    "Over TLS 1.2 no alert can say so when the certificate is looked at. The text says what is wrong with it, as the log of the key manager does; nothing that was asked is done.",
  ),
  KEY_ID_TAKEN: row(
    400,
    false,
    "the key ID stands for another key already",
    "A key came over a border under an ID that came before, with another value or for other applications: the first one stays, nothing of this transfer was kept, and the alarm is `border_key_differs`. Or a vendor's box gave a key a second time: no block is made of it, and the alarm is `box_key_repeated`.",
  ),
  NO_ROUTE: row(
    503,
    true,
    "there is no route to the other key manager",
    "No usable link or route leads to the home KM of the other application.",
  ),
  SESSION_UNKNOWN: row(
    400,
    false,
    "the session is not known here",
    "It was never opened, or a key manager was started again since: sessions do not survive that. Open a new one.",
  ),
  SESSION_ENDED: row(
    400,
    false,
    "the session has ended",
    "Its budget is spent, it was idle for too long, or one side ended it; the text says which. Open a new one.",
  ),
  APP_UNAVAILABLE: row(
    503,
    true,
    "the other application is not connected to its key manager",
    "A session needs its destination application connected over Ak. The session goes on when the application is back before the idle end.",
  ),
  NOT_ACKNOWLEDGED: row(
    503,
    true,
    "the destination application acknowledged none of the keys",
    "The keys pushed were refused or not acknowledged in time; they are destroyed and were supplied to nobody.",
  ),
  HSM_UNAVAILABLE: row(
    503,
    true,
    "the security module is not available",
    "The token is unplugged, logged out or refuses the PIN. Supply goes on by itself when it is back; a wrong PIN needs a restart.",
  ),
  STORE_UNAVAILABLE: row(
    503,
    true,
    "the key store cannot be written",
    "The disk is full or failing. Make room; supply goes on by itself.",
  ),
  AUDIT_UNAVAILABLE: row(
    503,
    true,
    "the audit log cannot be written",
    "The disk of the audit log is full or failing, or the log may grow no more. Nothing that affects keys is done until it can be written again; make room, and all goes on by itself.",
  ),
  SESSION_REFUSED: row(
    400,
    false,
    "the other application refuses the session",
    "The application that the session is with does not want it; the text is its own, if it gave one.",
  ),
  STOPPING: row(503, true, "the key manager is stopping", "It was told to stop or is being zeroised."),
  INTERNAL: row(503, true, "an internal error", "A defect: please report it with the log line."),
  BOX_UNAVAILABLE: row(
    503,
    true,
    "a vendor's box of a link cannot be used",
    "The box that a link's key comes from is gone, slow, refuses this KM, or answers what is no key; the log says which. It is tried again for good.",
  ),
  // Kx only: why a relay was refused or given up.
  PROTECTION_REFUSED: row(
    400,
    false,
    "the key relay is not protected as this key manager requires",
    "The peer sent an unprotected key, or a protection that is not its own link's. Check `dialect` at both ends.",
  ),
  NOT_ON_ROUTE: row(
    400,
    false,
    "the route does not lead here",
    "The peer is not this KM's predecessor on the route, or the route has a KM twice.",
  ),
  BLOCK_NOT_HELD: row(
    400,
    false,
    "the link block named is not held here",
    "It never arrived, was dropped as the oldest, or is used. The owner destroys its copy.",
  ),
  BLOCK_NOT_YOURS: row(
    400,
    false,
    "the link block named is not the sender's own",
    "The two ends disagree about shares; compare the link's configuration.",
  ),
  BLOCK_USED: row(
    400,
    false,
    "the range named is used",
    "A pad or block was named a second time: a replay, or a restored store.",
  ),
  BAD_TAG: row(
    400,
    false,
    "the tag does not fit: the two ends hold different bits",
    "Errors were left in the distilled key, or the frame was changed on the way. The blocks named are destroyed.",
  ),
  SERIAL_SEEN: row(400, false, "the serial was accepted before", "A replayed key relay. Nothing was stored."),
  OUT_OF_BOUNDS: row(
    400,
    false,
    "a number is beyond what is believed",
    "A peer told a serial, a run, a sequence or a state beyond the bounds in kx.md. Nothing of it was stored; the alarm `peer_leap` names peer, number and bound. When both are sound again: `qkm forget`, at both ends.",
  ),
  STORE_FULL: row(
    503,
    true,
    "the store has no room for more keys of this source",
    "The destination holds as many KMA-keys of the source as it may; they go as they are fetched or expire.",
  ),
  RELAY_TIMEOUT: row(
    503,
    true,
    "the key relay was not completed in time",
    "A KM on the route is slow or gone; another key is relayed.",
  ),
  // Start-up: the process says so and stays up without the part, or refuses to start.
  WRONG_PIN: row(
    503,
    false,
    "the token refuses the PIN",
    "The PIN is tried once, so that a real token does not lock. Correct the PIN file and restart.",
  ),
  TOKEN_UNSUITABLE: row(
    503,
    false,
    "the token cannot be used",
    "It lacks a mechanism that the KM needs, or refuses how the KM makes its keys; the log and `qkm status` say which. Choose another token and restart.",
  ),
  MEMORY_NOT_LOCKED: row(
    503,
    false,
    "memory cannot be locked",
    "Raise the limit (ulimit -l, LimitMEMLOCK=) to at least the slab and ring, or allow unlocked memory on a development board.",
  ),
  WATCHDOG_UNAVAILABLE: row(
    503,
    true,
    "the hardware watchdog cannot be used",
    "Nothing resets the machine if the KM hangs; it is tried again every 10 s. Is the kernel's module loaded, is another process using it, may this user write to it? With `required = true` under [watchdog] the KM does not start without it.",
  ),
} as const satisfies Record<string, FaultRow>;

/** The name of a fault; what code matches on. */
export type FaultCode = keyof typeof FAULTS;

/** What a fault may add to its row. */
export interface FaultDetail {
  /** A sentence that says more than the table's. Never has key bytes. */
  readonly text?: string;
  readonly retryAfterMs?: number;
  /** ETSI 014 `details`: name/value pairs. */
  readonly details?: readonly Readonly<Record<string, string>>[];
  /** Kx: the hop that failed, `qkm_failed_at`. */
  readonly failedAt?: string;
  readonly cause?: unknown;
}

/** The only error that qkm throws on purpose; match on `code`. */
export class Fault extends Error {
  override readonly name = "Fault";
  readonly code: FaultCode;
  readonly retryAfterMs: number | undefined;
  readonly details: FaultDetail["details"];
  readonly failedAt: string | undefined;

  constructor(code: FaultCode, detail: FaultDetail = {}) {
    super(detail.text ?? FAULTS[code].text, { cause: detail.cause });
    this.code = code;
    this.retryAfterMs = detail.retryAfterMs ?? rowOf(code).retryAfterMs;
    this.details = detail.details;
    this.failedAt = detail.failedAt;
  }

  /** In the words of ETSI GS QKD 014, where it has words for this fault and nothing more was said of it than in the details. */
  get etsi014Message(): string {
    const { text, etsi014 } = rowOf(this.code);
    if (etsi014 === undefined) return this.message;
    return this.message === text || this.details !== undefined ? etsi014 : this.message;
  }

  /** The `response` of Ak and Kx: `CODE: sentence`. */
  get response(): string {
    return `${this.code}: ${this.message}`;
  }
}

const rowOf = (code: FaultCode): FaultRow => FAULTS[code];

/** The `response` of Ak and Kx when all went well. */
export const SUCCESS = "success";

/** Whether a `response` of another make means success: in whatever case it is written. */
export const isSuccess = (response: string): boolean => response.toLowerCase() === SUCCESS;

/** Whatever was thrown, as a fault: a defect becomes INTERNAL with its cause kept. */
export function asFault(thrown: unknown): Fault {
  return thrown instanceof Fault ? thrown : new Fault("INTERNAL", { cause: thrown });
}

/** The fault of a request that is not as it must be; `text` says what is wrong and where. */
export const malformed = (text: string, cause?: unknown): Fault => new Fault("MALFORMED_REQUEST", { text, cause });
