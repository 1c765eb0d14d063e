// Listens before the key manager is loaded; refuses what key managers of other networks ask until it is.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { BorderAck, BorderArrival, BorderDoor, BorderVoid } from "../ports/borders.ts";

/** Stands for the borders until the key manager is open; refuses until then. */
export class BorderGate implements BorderDoor {
  #borders: BorderDoor | undefined;

  /** From now on they answer. */
  open<Opened extends BorderDoor>(borders: Opened): Opened {
    this.#borders = borders;
    return borders;
  }

  async arrived(border: KmId, arrival: BorderArrival): Promise<readonly BorderAck[]> {
    return await this.#opened().arrived(border, arrival);
  }

  async voided(border: KmId, request: BorderVoid): Promise<readonly BorderAck[]> {
    return await this.#opened().voided(border, request);
  }

  async acknowledged(border: KmId, acks: readonly BorderAck[]): Promise<void> {
    await this.#opened().acknowledged(border, acks);
  }

  /** @throws Fault BUSY */
  #opened(): BorderDoor {
    if (this.#borders === undefined) throw new Fault("BUSY", { text: "the key manager is starting" });
    return this.#borders;
  }
}
