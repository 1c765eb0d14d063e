// A channel without a socket: the test is the other end, and says when a write has ended.

import type { Channel, ChannelHandler } from "../../src/net/channel.ts";
import { BufferPool } from "../../src/wire/buffer-pool.ts";
import { encodeFrame, FrameReader } from "../../src/wire/frame.ts";
import { encodePayload, parsePayload } from "../../src/wire/payload.ts";

export interface Answered {
  readonly code: number;
  readonly messageId: number;
  readonly json: Readonly<Record<string, unknown>>;
}

export class FakeChannel implements Channel {
  readonly id = "app-a1";
  readonly certificate = "CN=app-a1";
  readonly group = "X25519MLKEM768";
  readonly serverName: string = "";
  readonly writes: Buffer[] = [];
  closedBecause: string | undefined;
  /** Whether a write stays unfinished until `drain`. */
  slow = false;
  writing = false;
  #handler: ChannelHandler | undefined;

  start(handler: ChannelHandler): void {
    this.#handler = handler;
  }

  write(bytes: Uint8Array): void {
    if (this.writing || this.closedBecause !== undefined) throw new Error("this may not be written now");
    this.writes.push(Buffer.from(bytes));
    this.writing = this.slow;
  }

  close(reason: string): void {
    this.closedBecause ??= reason;
  }

  /** The peer sends bytes. */
  receive(bytes: Uint8Array): void {
    this.#handler?.received(bytes);
  }

  drain(): void {
    this.writing = false;
    this.#handler?.drained();
  }

  /** The connection is gone. */
  lose(): void {
    this.closedBecause ??= "lost";
    this.#handler?.closed("lost");
  }

  /** All answers so far, in order. */
  answers(): Answered[] {
    const answers: Answered[] = [];
    new FrameReader(new BufferPool(1)).push(Buffer.concat(this.writes), ({ code, messageId, payload }) =>
      answers.push({ code, messageId, json: parsePayload(payload) as Answered["json"] }),
    );
    return answers;
  }
}

/** A request's frame. */
export const frame = (code: number, messageId: number, json: object): Buffer =>
  Buffer.from(encodeFrame(code, messageId, encodePayload(json)));

/** 0x2101 for app-c1. */
export const keyRequest = (messageId: number, more: object = {}): Buffer =>
  frame(0x2101, messageId, { application_destination_ID: "app-c1", ...more });
