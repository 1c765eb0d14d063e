// Keeps one peer dialled: at start, and again whenever the connection ends or cannot be made.

import { pause } from "../core/pause.ts";
import type { Clock, Log, Random } from "../core/ports.ts";
import { Backoff } from "../net/backoff.ts";
import type { Channel } from "../net/channel.ts";
import type { KxSession } from "./session.ts";

/** Time, randomness for the jitter, and the log. */
export interface RedialPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** The peer that is kept dialled, and how. */
export interface Dialled {
  /** For the log. */
  readonly peer: string;
  /** A new authenticated channel to the peer. @throws why there is none; at once when the signal is given */
  dial(signal: AbortSignal): Promise<Channel>;
  /** How long a pause between two tries grows. */
  readonly longestPauseMs?: number;
  /** Resolves at the end of a dialogue that the peer has begun by itself; undefined when there is none. */
  current(): Promise<unknown> | undefined;
  /** Begins the dialogue; `undefined` when none is wanted any more. */
  attach(channel: Channel): KxSession | undefined;
}

/** Resolves after the signal, when nothing is being dialled any more. */
export async function keepDialled(dialled: Dialled, ports: RedialPorts, signal: AbortSignal): Promise<void> {
  const { clock, log, random } = ports;
  const backoff = new Backoff(() => random.fraction(), dialled.longestPauseMs);
  while (!signal.aborted) {
    await dialled.current();
    if (signal.aborted) return;
    const livedMs = await liveOnce(dialled, ports, signal);
    if (livedMs !== undefined) backoff.lived(livedMs);
    if (signal.aborted) return;
    const waitMs = Math.round(backoff.nextMs());
    log.debug({ peer: dialled.peer, waitMs }, "the peer will be dialled again");
    // rule: dial-again
    await pause(clock, waitMs, signal);
  }
}

/** Dials, and waits for the end of what comes of it; how long the connection lived, in ms; undefined when there was none. */
async function liveOnce(
  dialled: Dialled,
  { clock, log }: RedialPorts,
  signal: AbortSignal,
): Promise<number | undefined> {
  try {
    const channel = await dialled.dial(signal);
    const sinceMs = clock.monotonicMs();
    await dialled.attach(channel)?.ended;
    return clock.monotonicMs() - sinceMs;
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    if (!signal.aborted)
      log.warn({ peer: dialled.peer, fault: "PEER_UNAVAILABLE", reason }, "the peer cannot be reached");
    return undefined;
  }
}
