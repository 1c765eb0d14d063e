// Whether keys that come again over a border are what they were: compared in locked memory, where they lie sealed.

import { timingSafeEqual } from "node:crypto";
import { Fault } from "../../core/fault.ts";
import type { BlockId } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import type { Bundle } from "../strict/strict-bundle.ts";
import type { Claim } from "../strict/strict-grant.ts";
import type { Scratch } from "./departures/departure-intent.ts";

/** A key that is held, and the base64 under which its ID came again. */
export interface Repeated {
  readonly claim: Claim;
  readonly letters: Uint8Array;
}

/**
 * Compares with what is held. What was fetched meanwhile is here no more, and cannot be compared.
 * @throws Fault KEY_ID_TAKEN when a value is another one; HSM_UNAVAILABLE
 */
export async function checkValues(
  context: Context,
  scratch: Scratch,
  repeated: readonly Repeated[],
  isHeld: (bundle: Bundle) => boolean,
): Promise<void> {
  for (const [bundle, keys] of Map.groupBy(repeated, ({ claim }) => claim.bundle)) {
    const isSame = await scratch.queue.run(async () => {
      if (!isHeld(bundle)) return true;
      return await areSame(context, scratch.memory, bundle, keys).catch((thrown: unknown) => {
        // Fetched whole while it waited for memory: its block is gone.
        if (!isHeld(bundle)) return true;
        throw thrown;
      });
    });
    if (!isSame) throw new Fault("KEY_ID_TAKEN", { text: "a key_id came again with another value" });
  }
}

/** All are compared, wherever the first difference lies. */
async function areSame(
  { vault, random }: Context,
  memory: Uint8Array,
  bundle: Bundle,
  keys: readonly Repeated[],
): Promise<boolean> {
  using job = await vault.openJob({ blocks: [{ block: bundle.block, used: () => bundle.used() }], emptySlots: 1 });
  const [open] = job.blocks;
  const copy = open && job.emptySlots[0]?.combine(`${bundle.block}:compared:${random.hex(8)}` as BlockId, [open]);
  if (copy === undefined) throw new Error(`${bundle.block} is not open`);
  let same = true;
  for (const { claim, letters } of keys) {
    if (bundle.isTaken(claim.index)) continue;
    const end = copy.emit(bundle.rangeOf(claim.index), memory, 0);
    if (end !== letters.length || !timingSafeEqual(memory.subarray(0, end), letters)) same = false;
    memory.fill(0, 0, end);
  }
  return same;
}
