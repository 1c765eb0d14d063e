// What this KM tells its peers of sessions that it ended, gathered so that many ends make few frames.

import { SESSION_ENDS, type SessionEnd } from "../../core/counters.ts";
import { asFault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import { inParts, text } from "../common/extension-fields.ts";
import type { ExtensionEntry, PeerConnection } from "../ports/peers.ts";
import type { Session } from "./session.ts";

const NAME = "session_end";
const TELL_AFTER_MS = 50;
const TELL_TIMEOUT_MS = 10_000;
/** Entries of one tell, so that they fit any frame. */
const MAX_ENTRIES = 200;

type Notifiable = Pick<PeerConnection, "tell">;

/** Gathers ends of sessions for each peer for 50 ms, then sends them together. */
export class SessionEndNotices {
  readonly #context: Pick<Context, "clock" | "log">;
  readonly #peerOf: (km: KmId) => Notifiable | undefined;
  readonly #pending = new Map<KmId, ExtensionEntry[]>();
  #stopTimer: (() => void) | undefined;

  constructor(context: Pick<Context, "clock" | "log">, peerOf: (km: KmId) => Notifiable | undefined) {
    this.#context = context;
    this.#peerOf = peerOf;
  }

  /** Will be told soon. A peer that cannot be reached then finds the session idle in time. */
  add({ terms: { peer, id } }: Session, reason: SessionEnd): void {
    const entries = this.#pending.get(peer) ?? [];
    entries.push({ name: NAME, session_ID: id, reason });
    this.#pending.set(peer, entries);
    this.#stopTimer ??= this.#context.clock.after(TELL_AFTER_MS, () => void this.flush(TELL_TIMEOUT_MS));
  }

  /** Tells all that is to be told; resolves when the peers have it, or the time is over. */
  async flush(timeoutMs: number): Promise<void> {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    const pending = [...this.#pending];
    this.#pending.clear();
    const told = pending.flatMap(([km, entries]) => {
      const peer = this.#peerOf(km);
      return peer === undefined
        ? []
        : inParts(entries, MAX_ENTRIES).map((part) => this.#tell(km, peer, part, timeoutMs));
    });
    await Promise.all(told);
  }

  #tell(km: KmId, peer: Notifiable, entries: readonly ExtensionEntry[], timeoutMs: number): Promise<void> {
    return peer.tell(entries, timeoutMs).catch((thrown: unknown) => {
      this.#context.log.debug({ peer: km, fault: asFault(thrown).response }, "a peer was not told of sessions' ends");
    });
  }
}

/** The end of a session that a peer tells; undefined for any other entry. @throws Fault MALFORMED_REQUEST */
export function readEndNotice(entry: ExtensionEntry): { readonly id: string; readonly reason: SessionEnd } | undefined {
  if (entry.name !== NAME) return undefined;
  const reason = text(entry, "reason");
  return { id: text(entry, "session_ID"), reason: isSessionEnd(reason) ? reason : "peer" };
}

const isSessionEnd = (reason: string): reason is SessionEnd => Object.hasOwn(SESSION_ENDS, reason);
