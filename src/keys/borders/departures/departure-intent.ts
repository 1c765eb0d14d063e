// How keys come to leave: fetched for the application beyond the border, sealed apart, durable as what is about to leave.

import type { KmId } from "../../../core/ids.ts";
import type { Sealed } from "../../../vault/vault.ts";
import type { Context } from "../../common/context.ts";
import type { SerialQueue } from "../../common/queues/serial-queue.ts";
import { borderBlock, TABLE } from "../../common/rows.ts";
import type { BorderPath } from "../../ports/borders.ts";
import type { FetchRequest, Grant } from "../../ports/keys.ts";
import { BUNDLE_BYTES } from "../../strict/strict-received-keys.ts";
import type { BorderHost } from "../border-host.ts";
import { Departure } from "./departure.ts";

/** Memory in which keys lie as base64 between a grant and their seal: locked, for one job at a time. */
export interface Scratch {
  readonly memory: Uint8Array;
  readonly queue: SerialQueue;
}

/** Bytes that the scratch must have: the letters of one block, each key's padded. */
export const SCRATCH_BYTES = 2 * BUNDLE_BYTES;

/** Which keys are to leave, and where to. */
export interface Intent {
  readonly border: KmId;
  readonly path: BorderPath;
  readonly keyIds: readonly string[];
  readonly scratch: Scratch;
}

/** One departure for each block that the keys fill. @throws Fault, and nothing will leave */
export async function intend(host: BorderHost, intent: Intent): Promise<readonly Departure[]> {
  const { context } = host;
  const { border, path, keyIds } = intent;
  const { initiator, target } = path;
  using grant = await fetched(host, { door: "etsi020", app: target, initiator, keyIds });
  const change = context.vault.change();
  const departures: Departure[] = [];
  for (const group of groupsOf(grant)) {
    const departure = departureOf(context, intent, grant, group);
    change.keep(await sealed(context, intent.scratch, { grant, group, departure }));
    departures.push(departure);
  }
  for (const departure of departures) change.put(...departure.row("sending"));
  await change.commit().catch((thrown: unknown) => {
    for (const departure of departures) erase(context, departure);
    throw thrown;
  });
  for (const { block, keys } of departures) {
    context.audit.note("border_keys_sent", { peer: border, initiator, target, block }, { count: keys.length });
  }
  return departures;
}

function departureOf(
  { vault, random, ages }: Context,
  { border, path: { initiator, target }, keyIds }: Intent,
  grant: Grant,
  group: readonly number[],
): Departure {
  const id = `${border}/out/${random.hex(16)}`;
  const keys = group.map((index) => ({ keyId: keyIds[index] ?? "", length: grant.size(index) }));
  const block = borderBlock("out", id);
  return new Departure(vault, { id, border, block, bornAt: ages.nowOn(), initiator, target, keys });
}

interface Sealing {
  readonly grant: Grant;
  readonly group: readonly number[];
  readonly departure: Departure;
}

const sealed = (
  { vault }: Context,
  { memory, queue }: Scratch,
  { grant, group, departure }: Sealing,
): Promise<Sealed> =>
  queue.run(async () => {
    let end = 0;
    try {
      const letters = group.map((index) => {
        const start = end;
        end = grant.writeKey(index, memory, start);
        return memory.subarray(start, end);
      });
      return (await vault.sealLetters(departure.block, letters)).sealed;
    } finally {
      memory.fill(0, 0, end);
    }
  });

/** Takes a departure and its keys off the disk. */
export function erase({ vault, log }: Context, { id, block, border }: Departure): void {
  const change = vault.change().remove(TABLE.border, id).destroy(block);
  change.commit().catch((err: unknown) => log.warn({ border, err }, "keys that did not leave are still on the disk"));
}

const fetched = (host: BorderHost, request: FetchRequest): Promise<Grant> =>
  new Promise((resolve, reject) => void host.fetch(request, { granted: resolve, refused: reject }));

/** Indices of a grant's keys, each group fit for one block. */
function groupsOf(grant: Grant): readonly (readonly number[])[] {
  const groups: number[][] = [];
  let free = 0;
  for (let index = 0; index < grant.count; index++) {
    // As many as their letters would stand for at most.
    const bytes = Math.ceil(grant.size(index) / 3) * 3;
    if (bytes > free) {
      groups.push([]);
      free = BUNDLE_BYTES;
    }
    groups.at(-1)?.push(index);
    free -= bytes;
  }
  return groups;
}
