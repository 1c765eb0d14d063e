// A logged-in token with its sessions: runs jobs, notices when the token is gone, closes once.

import type { Handle, PKCS11 } from "pkcs11js";
import { Fault } from "../../src/core/fault.ts";
import type { Log } from "../../src/core/ports.ts";
import { SealBroken } from "../../src/device/token.ts";
import type { Lease } from "./library.ts";
import { reasonOf, refusalOf, saysGone, saysTrouble } from "./refusal.ts";
import { SessionPool } from "./sessions.ts";
import type { Found } from "./slot.ts";
import { findToken, logIn, openSession, showsLife } from "./slot.ts";

/** How long a close waits for calls that are still in the module. */
const CLOSE_MS = 5_000;

/** Which token, and where its PIN is. */
export interface Access {
  readonly label: string;
  readonly pinFile: string;
  /** Sessions at a time, besides the one that holds the login. */
  readonly sessions: number;
}

/** @throws Fault HSM_UNAVAILABLE, WRONG_PIN */
export function connect(lease: Lease, access: Access, log: Log): Connection {
  const found = findToken(lease.pkcs11, access.label);
  const anchor = anchorOf(lease.pkcs11, found, access.pinFile);
  return new Connection(lease, { found, anchor, most: Math.min(access.sessions, found.maxSessions - 1) }, log);
}

/** The token as it was found, the session that holds its login, and how many more it may have. */
interface Held {
  readonly found: Found;
  readonly anchor: Handle;
  readonly most: number;
}

/** Open until `close`, or until the token is seen to be gone; never open again after. */
export class Connection {
  readonly pkcs11: PKCS11;
  readonly found: Found;
  readonly #lease: Lease;
  readonly #anchor: Handle;
  readonly #pool: SessionPool;
  readonly #log: Log;
  #ending: Promise<void> | undefined;

  constructor(lease: Lease, { found, anchor, most }: Held, log: Log) {
    const { pkcs11 } = lease;
    this.pkcs11 = pkcs11;
    this.found = found;
    this.#lease = lease;
    this.#anchor = anchor;
    this.#log = log;
    this.#pool = new SessionPool({
      open: () => openSession(pkcs11, found.slot),
      close: (session) => quietly(() => pkcs11.C_CloseSession(session)),
      most: Math.max(1, most),
    });
  }

  /**
   * Runs `job` on a session that nobody else uses. A session whose job threw is closed, never used again.
   * @throws Fault HSM_UNAVAILABLE for every refusal of the module; SealBroken as thrown, if the token is well
   */
  async run<T>(job: (session: Handle) => T | Promise<T>): Promise<T> {
    let session: Handle | undefined;
    try {
      session = await this.#pool.take();
      const result = await job(session);
      this.#pool.give(session);
      return result;
    } catch (thrown) {
      const verdict = this.#judge(thrown);
      if (session !== undefined) this.#pool.discard(session);
      throw verdict;
    }
  }

  /** The same, for calls that a token which is gone answers as if it were empty. */
  runSeen<T>(job: (session: Handle) => T | Promise<T>): Promise<T> {
    return this.run(async (session) => {
      const result = await job(session);
      if (!this.#isWell()) throw this.#lost(new Error("it shows no sign of life"));
      return result;
    });
  }

  /** Waits for what is under way, 5 s at most. */
  close(): Promise<void> {
    return this.#end(new Fault("HSM_UNAVAILABLE", { text: `the token ${this.found.label} was closed` }));
  }

  #isWell(): boolean {
    return showsLife(this.pkcs11, this.found, this.#anchor);
  }

  /** What the caller gets for what the job threw. */
  #judge(thrown: unknown): unknown {
    if (thrown instanceof Fault || thrown instanceof RangeError) return thrown;
    const broken = thrown instanceof SealBroken;
    const told = broken ? thrown.cause : thrown;
    if (saysGone(told) || !this.#isWell()) return this.#lost(told);
    if (refusalOf(told) === undefined || (broken && !saysTrouble(told))) return thrown;
    const text = `the token ${this.found.label} refuses: ${reasonOf(told)}`;
    return new Fault("HSM_UNAVAILABLE", { text, cause: told });
  }

  #lost(cause: unknown): Fault {
    const { label } = this.found;
    const fault = new Fault("HSM_UNAVAILABLE", { text: `the token ${label} is gone`, cause });
    if (this.#ending === undefined)
      this.#log.warn({ event: "token_gone", token: label, reason: reasonOf(cause) }, "the token is gone");
    void this.#end(fault);
    return fault;
  }

  #end(reason: Fault): Promise<void> {
    this.#ending ??= this.#letGo(reason);
    return this.#ending;
  }

  async #letGo(reason: Fault): Promise<void> {
    if (!(await closedInTime(this.#pool, reason))) {
      this.#log.error({ token: this.found.label }, "a call to the token does not return; its module stays in use");
      return;
    }
    quietly(() => this.pkcs11.C_CloseSession(this.#anchor));
    quietly(() => this.#lease.release());
  }
}

/** A session for the login and signs of life alone: a token logs out when its last session closes. */
function anchorOf(pkcs11: PKCS11, found: Found, pinFile: string): Handle {
  let session: Handle | undefined;
  try {
    session = openSession(pkcs11, found.slot);
    logIn(pkcs11, session, found, pinFile);
    return session;
  } catch (thrown) {
    if (session !== undefined) pkcs11.C_CloseSession(session);
    if (refusalOf(thrown) === undefined) throw thrown;
    const text = `the token ${found.label} opens no session: ${reasonOf(thrown)}`;
    throw new Fault("HSM_UNAVAILABLE", { text, cause: thrown });
  }
}

function closedInTime(pool: SessionPool, reason: Fault): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, CLOSE_MS, false);
    void pool.close(reason).then(() => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

/** What a token that is gone answers to being closed is of no interest. */
function quietly(close: () => void): void {
  try {
    close();
  } catch (thrown) {
    if (refusalOf(thrown) === undefined) throw thrown;
  }
}
