// An application at a key manager that is not its home: whatever it asks first is answered with that, and the connection ends.

import type { Fault } from "../core/fault.ts";
import type { Channel, ChannelHandler } from "../net/channel.ts";
import { BufferPool } from "../wire/buffer-pool.ts";
import { FrameError, FrameReader } from "../wire/frame.ts";
import { refusalFrame } from "./answer.ts";
import { AK } from "./messages.ts";

const REQUESTS: ReadonlySet<number> = new Set(
  [AK.keyRequest, AK.keyRequestWithId, AK.sessionCreation, AK.sessionKeyRequest].map(({ code }) => code),
);

/** Handles a channel from its start to its end. Nothing of a request is looked at but its code. */
export class TurnedAway implements ChannelHandler {
  readonly #channel: Channel;
  readonly #fault: Fault;
  readonly #reader = new FrameReader(new BufferPool(1));

  constructor(channel: Channel, fault: Fault) {
    this.#channel = channel;
    this.#fault = fault;
    channel.start(this);
  }

  received(chunk: Uint8Array): void {
    const answers: Uint8Array[] = [];
    try {
      this.#reader.push(chunk, ({ code, messageId }) => {
        if (!REQUESTS.has(code)) throw new FrameError("direction", "it answers nothing that was asked");
        answers.push(refusalFrame({ code, messageId, sessionId: "" }, this.#fault));
      });
    } catch (thrown) {
      if (!(thrown instanceof FrameError)) throw thrown;
      this.#channel.close(thrown.message);
      return;
    }
    if (answers.length > 0 && !this.#channel.writing) this.#channel.write(Buffer.concat(answers));
  }

  drained(): void {
    this.#channel.close("another key manager is its home");
  }

  closed(): void {
    this.#reader.dispose();
  }
}
