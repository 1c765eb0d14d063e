// A logged-in token with its sessions: runs jobs, notices when the token is gone, closes once.

import type { Handle, PKCS11 } from "pkcs11js";
import { Fault } from "../../src/core/fault.ts";
import type { Log } from "../../src/core/ports.ts";
import { SealBroken } from "../../src/device/token.ts";
import type { Lease } from "./library.ts";
import { reasonOf, refusalOf, saysGone, saysTrouble } from "./refusal.ts";
import type { SessionPool } from "./sessions.ts";
import { makeSessionPool } from "./sessions.ts";
import type { Found } from "./slot.ts";
import { findToken, logIn, openSession, showsLife } from "./slot.ts";

/** How long a close waits for calls that are still in the module. */
const CLOSE_MS = 5_000;

export interface Access {
  readonly label: string;
  readonly pinFile: string;
  /** Sessions at a time, besides the one that holds the login. */
  readonly sessions: number;
}

export interface Connection {
  readonly pkcs11: PKCS11;
  readonly found: Found;
  /**
   * Runs `job` on a session that nobody else uses. A session whose job threw is closed, never used again.
   * @throws Fault HSM_UNAVAILABLE for every refusal of the module; SealBroken as thrown, if the token is well
   */
  run<T>(job: (session: Handle) => T | Promise<T>): Promise<T>;
  /** The same, for calls that a token which is gone answers as if it were empty. */
  runSeen<T>(job: (session: Handle) => T | Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** @throws Fault HSM_UNAVAILABLE, WRONG_PIN */
export function connect(lease: Lease, access: Access, log: Log): Connection {
  const { pkcs11 } = lease;
  const found = findToken(pkcs11, access.label);
  const anchor = anchorOf(pkcs11, found, access.pinFile);
  const pool = makeSessionPool({
    open: () => openSession(pkcs11, found.slot),
    close: (session) => quietly(() => pkcs11.C_CloseSession(session)),
    most: Math.max(1, Math.min(access.sessions, found.maxSessions - 1)),
  });
  let ending: Promise<void> | undefined;

  function end(reason: Fault): Promise<void> {
    ending ??= (async () => {
      if (!(await closedInTime(pool, reason))) {
        log.error({ token: found.label }, "a call to the token does not return; its module stays in use");
        return;
      }
      quietly(() => pkcs11.C_CloseSession(anchor));
      quietly(() => lease.release());
    })();
    return ending;
  }

  function lost(cause: unknown): Fault {
    const fault = new Fault("HSM_UNAVAILABLE", { text: `the token ${found.label} is gone`, cause });
    if (ending === undefined) log.warn({ token: found.label, reason: reasonOf(cause) }, "the token is gone");
    void end(fault);
    return fault;
  }

  /** What the caller gets for what the job threw. */
  function judge(thrown: unknown): unknown {
    const broken = thrown instanceof SealBroken;
    const told = broken ? thrown.cause : thrown;
    if (thrown instanceof Fault || thrown instanceof RangeError) return thrown;
    if (saysGone(told) || !showsLife(pkcs11, found, anchor)) return lost(told);
    if (refusalOf(told) === undefined || (broken && !saysTrouble(told))) return thrown;
    return new Fault("HSM_UNAVAILABLE", { text: `the token ${found.label} refuses: ${reasonOf(told)}`, cause: told });
  }

  async function run<T>(job: (session: Handle) => T | Promise<T>): Promise<T> {
    let session: Handle | undefined;
    try {
      session = await pool.take();
      const result = await job(session);
      pool.give(session);
      return result;
    } catch (thrown) {
      const verdict = judge(thrown);
      if (session !== undefined) pool.discard(session);
      throw verdict;
    }
  }

  return {
    pkcs11,
    found,
    run,
    runSeen: (job) =>
      run(async (session) => {
        const result = await job(session);
        if (!showsLife(pkcs11, found, anchor)) throw lost(new Error("it shows no sign of life"));
        return result;
      }),
    close: () => end(new Fault("HSM_UNAVAILABLE", { text: `the token ${found.label} was closed` })),
  };
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
