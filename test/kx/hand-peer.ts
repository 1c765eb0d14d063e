// A peer written from the tables of Q.4163 and its appendix I alone: bytes by hand, none of our codec.

import type { Channel } from "../../src/net/channel.ts";
import { until } from "../support/until.ts";

export interface HandFrame {
  readonly version: number;
  readonly messageId: number;
  readonly code: number;
  readonly json: Record<string, unknown>;
}

/** Version 1, MessageID, CommandCode, Length, payload. */
export function handFrame(code: number, messageId: number, payload: object | string): Buffer {
  const body = Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload), "utf8");
  const header = Buffer.alloc(10);
  header.writeUInt16BE(1, 0);
  header.writeUInt32BE(messageId, 2);
  header.writeUInt16BE(code, 6);
  header.writeUInt16BE(body.length, 8);
  return Buffer.concat([header, body]);
}

export function handParse(bytes: Buffer): HandFrame {
  return {
    version: bytes.readUInt16BE(0),
    messageId: bytes.readUInt32BE(2),
    code: bytes.readUInt16BE(6),
    json: JSON.parse(bytes.subarray(10, 10 + bytes.readUInt16BE(8)).toString("utf8")) as Record<string, unknown>,
  };
}

export class HandPeer {
  readonly channel: Channel;
  /** Frames that have arrived and that `next` has not given yet. */
  readonly frames: HandFrame[] = [];
  closedBecause: string | undefined;
  #bytes = Buffer.alloc(0);
  #queue: Buffer[] = [];

  constructor(channel: Channel) {
    this.channel = channel;
    channel.start({
      received: (chunk) => this.#received(chunk),
      drained: () => this.#flush(),
      closed: (reason) => {
        this.closedBecause = reason;
      },
    });
  }

  /** Bytes as they are, whatever they are. */
  send(bytes: Buffer): void {
    this.#queue.push(bytes);
    this.#flush();
  }

  answer(frame: HandFrame, code: number, payload: object | string): void {
    this.send(handFrame(code, frame.messageId, payload));
  }

  /** The next frame of that code; frames of other codes stay. */
  async next(code: number): Promise<HandFrame> {
    await until(`a frame 0x${code.toString(16)}`, () => this.frames.some((frame) => frame.code === code));
    const index = this.frames.findIndex((frame) => frame.code === code);
    const [frame] = this.frames.splice(index, 1);
    if (frame === undefined) throw new Error("no frame");
    return frame;
  }

  #received(chunk: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    while (this.#bytes.length >= 10 && this.#bytes.length >= 10 + this.#bytes.readUInt16BE(8)) {
      const end = 10 + this.#bytes.readUInt16BE(8);
      this.frames.push(handParse(this.#bytes.subarray(0, end)));
      this.#bytes = this.#bytes.subarray(end);
    }
  }

  #flush(): void {
    if (this.channel.writing) return;
    const bytes = this.#queue.shift();
    if (bytes !== undefined) this.channel.write(bytes);
  }
}
