// A driver at each of two simulated vendor's boxes.

import type { BoxKind } from "../../../drivers/simulator/boxes/pair.ts";
import type { BoxEnd, PairRate } from "../../../drivers/simulator/boxes/shared-keys.ts";
import { systemClock } from "../../../src/control/system.ts";
import { linkId } from "../../../src/core/ids.ts";
import type { BoxOptions, KeyBox, OpenBox } from "../../../src/device/key-box.ts";
import type { KeyBoxRig } from "../../contracts/key-box.ts";
import { type Recorder, recorder } from "../../support/recorder.ts";
import { VendorBoxes } from "../../support/vendor-boxes.ts";

export interface BoxRig extends KeyBoxRig {
  readonly boxes: VendorBoxes;
  readonly told: Recorder;
}

/** What differs from the usual. */
interface RigOptions extends Partial<BoxOptions> {
  readonly rate?: PairRate;
}

export async function boxRig(kind: BoxKind, open: OpenBox, options: RigOptions = {}): Promise<BoxRig> {
  const { rate, blockBytes = 4096, ...special } = options;
  const boxes = await VendorBoxes.start(kind, rate);
  const told = recorder();
  const memory: Uint8Array[] = [];
  const openBox = (end: BoxEnd): Promise<KeyBox> => {
    const usual = { serverName: undefined, minTls: "1.3", keyBits: undefined, wire: "B" } as const;
    const who = { link: linkId("ab"), ...boxes.place(end), ...boxes.names(end), tls: boxes.files(end) };
    const ports = {
      clock: systemClock,
      log: told.log,
      memory: (bytes: number) => {
        const region = new Uint8Array(bytes);
        memory.push(region);
        return region;
      },
    };
    return open({ ...usual, ...who, blockBytes, ...special }, ports);
  };
  return {
    ...{ boxes, told, memory, blockBytes },
    open: openBox,
    faults: (faults) => boxes.faults(faults),
    unplug: (end) => boxes.unplug(end),
    plug: (end) => boxes.plug(end),
    expire: (end, isExpired) => boxes.expire(end, isExpired),
    expireOwn: (end, isExpired) => boxes.expireOwn(end, isExpired),
    [Symbol.asyncDispose]: () => boxes[Symbol.asyncDispose](),
  };
}
