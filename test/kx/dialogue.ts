// A dialogue of ours with a peer that is written by hand.

import { KxSession } from "../../src/kx/session.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { A, B, TestPorts } from "./fixture.ts";
import { HandPeer } from "./hand-peer.ts";
import { type MemoryChannel, type MemoryOptions, memoryPair } from "./memory-channel.ts";

export interface DialogueOptions extends MemoryOptions {
  readonly lastMessageId?: number;
  readonly dialect?: "extended" | "strict";
}

export interface Dialogue {
  readonly session: KxSession;
  readonly ports: TestPorts;
  readonly near: MemoryChannel;
  readonly hand: HandPeer;
}

/** km-a is ours, km-b is by hand. */
export function withHand(options: DialogueOptions = {}): Dialogue {
  const ports = new TestPorts(new ManualClock());
  const [near, far] = memoryPair(A, B, options);
  const { lastMessageId = 0, dialect = "extended" } = options;
  const session = new KxSession(near, { self: A, peer: B, dialect, defaultKeyBits: 256, lastMessageId }, ports);
  return { session, ports, near, hand: new HandPeer(far) };
}
