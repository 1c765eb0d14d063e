// km-a ══ab══ km-b, whose link gets its key from a pair of vendor's boxes in the test's own process.

import type { BoxKind } from "../../../drivers/simulator/boxes/pair.ts";
import type { BoxEnd, PairRate } from "../../../drivers/simulator/boxes/shared-keys.ts";
import { VendorBoxes } from "../../support/vendor-boxes.ts";
import { type Network, startNetwork } from "./network.ts";
import { type Overrides, PAIR, type PlannedKm } from "./plan.ts";

export interface BoxNetwork extends AsyncDisposable {
  readonly network: Network;
  readonly boxes: VendorBoxes;
}

const SCHEMES: Readonly<Record<BoxKind, string>> = { etsi014: "https", etsi004: "tls" };

/** Resolves when both KMs run. */
export async function startBoxNetwork(
  kind: BoxKind,
  { config, link = {}, rate }: { config?: Overrides; link?: Readonly<Record<string, unknown>>; rate?: PairRate } = {},
): Promise<BoxNetwork> {
  await using opened = new AsyncDisposableStack();
  const boxes = opened.use(await VendorBoxes.start(kind, rate));
  const at = (end: BoxEnd): Overrides => {
    const { host, port } = boxes.place(end);
    const box = { ...boxes.names(end), ...boxes.files(end) };
    const table = {
      driver: kind,
      port: `${SCHEMES[kind]}://${host}:${port}`,
      pairing_key_file: undefined,
      box,
      ...link,
    };
    return { links: { ab: table } };
  };
  const kms = PAIR.kms.map((km, index): PlannedKm => ({ ...km, config: at(index === 0 ? "a" : "b") }));
  const links = PAIR.links.map((one) => ({ ...one, boxes: true as const }));
  const network = opened.use(await startNetwork({ ...PAIR, kms, links, ...(config && { config }) }));
  const all = opened.move();
  return { network, boxes, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
