// Keeps a standby's local copy up with what is written in etcd.
//
//     ┌───────────────── whatever ends it, 0.2 s later ─────────────────┐
//     v                                                                 │
//   catch up: a watch from the copy's revision, or all read anew ──> follow: a watch
//     │                                                                 │
//     └───────────────────────── stalled: given up ─────────────────────┘
//
// The member's looks are the measure. Each second they ask etcd, by a linearizable read, what was written last. A copy
// that lacks some of it and has not moved for two seconds has stalled, whatever the reason: what is under way is given up
// and begun anew at the next voter. So no watch has to prove that it is alive, and none is trusted to be.

import { pause } from "../core/pause.ts";
import { catchUp, type Following, follow, isRestored, type Way } from "./catch-up.ts";
import { EtcdError, type Standing, type WatchBatch } from "./etcd.ts";
import { OtherPast } from "./lineage.ts";
import type { CopiedTo } from "./local-copy.ts";

/** A copy that is behind and does not move is given up after this time, which a new try has, too. */
const STALLED_MS = 2_000;
const RETRY_MS = 200;

/** What a look at etcd has found. */
export interface Look {
  /** What the copy was of before etcd was asked. */
  readonly before: CopiedTo;
  /** Where etcd stood when it answered. */
  readonly now: Standing;
  /** Revision of the last write that an owner made; 0: there was none. */
  readonly lastWrite: number;
}

/** Follows what an owner writes, for as long as this member is a standby. */
export class Follower {
  readonly #following: Following;
  readonly #applied: (batch: WatchBatch) => void;
  /** The last write that was seen. */
  #written: Standing | undefined;
  /** A copy that goes up to `of` has all that etcd holds up to `to`. */
  #unchanged = { of: Number.POSITIVE_INFINITY, to: 0 };
  /** Etcd lacks what this copy has: it was restored, and whoever is active next must know. */
  #isAhead = false;
  #behindSinceMs: number | undefined;
  /** Since when nothing has come and nothing was written here, although the copy is behind. */
  #stillSinceMs = 0;
  #heard = 0;
  #movedTo = 0;
  #giveUp: (reason: EtcdError) => void = () => {};
  #trouble = "";

  /** @param applied told of each batch that the copy has */
  constructor(following: Following, applied: (batch: WatchBatch) => void) {
    this.#following = following;
    this.#applied = applied;
  }

  /** For how long the copy has been behind the last write; 0 when it is not. */
  get lagMs(): number {
    if (this.#behindSinceMs === undefined) return 0;
    return Math.round(this.#following.clock.monotonicMs() - this.#behindSinceMs);
  }

  /** Whether the copy is whole and has the last write that was seen. */
  get isCurrent(): boolean {
    return this.#behindSinceMs === undefined && this.#following.copy.at.revision > 0;
  }

  /** Takes what a look has found, and gives up what does not move on. */
  see({ before, now, lastWrite }: Look): void {
    this.#written = { cluster: now.cluster, revision: lastWrite };
    // rule: look-before
    if (isRestored(before, now)) this.#seeRestored();
    // Rows and records change only together with the last write.
    const isWhole = before.revision > 0 && lastWrite <= before.revision;
    if (isWhole) this.#unchanged = { of: before.revision, to: now.revision };
    this.#seeLag();
    if (this.#behindSinceMs !== undefined) this.#seeStall();
  }

  /** Follows until the signal, and begins anew whenever that ends. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const stalled = new AbortController();
      this.#giveUp = (reason) => stalled.abort(reason);
      try {
        await this.#once(AbortSignal.any([signal, stalled.signal]));
      } catch (thrown) {
        if (thrown instanceof OtherPast) this.#seeRestored();
        else if (!signal.aborted) this.#tell(thrown);
      }
      await pause(this.#following.clock, RETRY_MS, signal);
    }
  }

  async #once(signal: AbortSignal): Promise<void> {
    const { copy } = this.#following;
    // A restored etcd is followed by nobody: what this copy has seen is the proof, until it is the owner's.
    if (this.#written === undefined || this.#isAhead) return;
    await copy.mend();
    if (copy.at.revision < this.#written.revision) await catchUp(this.#following, this.#written, this.#way(signal));
    if (copy.at.revision === 0) return;
    await follow(this.#following, this.#way(signal));
  }

  #way(signal: AbortSignal): Way {
    const { revision } = this.#following.copy.at;
    const { of, to } = this.#unchanged;
    return {
      from: (revision < of ? revision : Math.max(revision, to)) + 1,
      signal,
      heard: () => {
        this.#heard += 1;
      },
      applied: (batch) => {
        this.#trouble = "";
        this.#seeLag();
        this.#applied(batch);
      },
    };
  }

  #seeRestored(): void {
    if (this.#isAhead) return;
    this.#isAhead = true;
    this.#following.log.error({ alarm: "restored" }, "etcd lacks what this member has seen: it was restored");
  }

  #seeLag(): void {
    const isBehind = this.#following.copy.at.revision < (this.#written?.revision ?? 0);
    if (!isBehind) this.#behindSinceMs = undefined;
    else if (this.#behindSinceMs === undefined) {
      this.#behindSinceMs = this.#following.clock.monotonicMs();
      this.#stillSinceMs = this.#behindSinceMs;
    }
  }

  #seeStall(): void {
    const { copy, clock, log } = this.#following;
    const now = clock.monotonicMs();
    const movedTo = copy.writes + this.#heard;
    if (movedTo !== this.#movedTo) this.#stillSinceMs = now;
    this.#movedTo = movedTo;
    if (now - this.#stillSinceMs < STALLED_MS || this.#isAhead) return;
    this.#stillSinceMs = now;
    log.warn(
      { at: copy.at.revision, written: this.#written?.revision },
      "the copy of etcd has stalled: the next voter is asked",
    );
    // rule: give-up-stalled
    this.#giveUp(new EtcdError("unknown", "what was written did not come"));
  }

  /** What etcd does is seen by its looks; a disk here that takes nothing is told once. */
  #tell(thrown: unknown): void {
    const { log } = this.#following;
    const reason = String(thrown);
    if (thrown instanceof EtcdError) log.debug({ reason }, "following etcd begins anew");
    else if (reason !== this.#trouble) log.warn({ reason }, "the local copy of the store takes nothing");
    if (!(thrown instanceof EtcdError)) this.#trouble = reason;
  }
}
