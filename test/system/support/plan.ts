// What a network under test consists of: its KMs, links and apps, and what differs from the usual configuration.

import type { MoreDoor } from "../../../src/cli/provision/more-doors.ts";

type Table = Readonly<Record<string, unknown>>;

/** Values for a node's configuration by table and key, spelt as in docs/configuration.md, such as `supply.stock_high`. */
export interface Overrides {
  readonly node?: Table;
  readonly token?: Table;
  readonly memory?: Table;
  readonly watchdog?: Table;
  readonly ak?: Table;
  readonly etsi014?: Table;
  readonly kx?: Table;
  readonly metrics?: Table;
  readonly supply?: Table;
  readonly audit?: Table;
  readonly sessions?: Table;
  /** By the ID of the link, peer or app; `*` is for all. */
  readonly links?: Readonly<Record<string, Table>>;
  readonly peers?: Readonly<Record<string, Table>>;
  readonly apps?: Readonly<Record<string, Table>>;
}

export interface PlannedKm {
  readonly id: string;
  readonly apps: readonly string[];
  /** On top of the plan's. */
  readonly config?: Overrides;
}

/** Options of `qkm module` in camelCase: `{ rateBitsPerS: 8e6, loseBlocks: 0.1 }`. */
export type ModuleOptions = Readonly<Record<string, number | string>>;

export interface PlannedLink {
  readonly id: string;
  readonly kms: readonly [string, string];
  readonly module?: ModuleOptions;
  /** No pairing key: what is on the line is not protected. */
  readonly bare?: true;
  /** Its key comes from boxes that the test has: there are no modules. */
  readonly boxes?: true;
}

export interface Plan {
  readonly kms: readonly PlannedKm[];
  readonly links: readonly PlannedLink[];
  /** Every KM is told of all links, so that keys are relayed over several. */
  readonly topology?: true;
  /** Every KM lets a controller in; its certificate is among those of the network. */
  readonly controller?: true;
  /** Every KM has these doors beside the usual ones. */
  readonly doors?: readonly MoreDoor[];
  /** For every KM. */
  readonly config?: Overrides;
}

/** km-a ══ab══ km-b, with the apps app-a1 and app-a2 at one end and app-b1 and app-b2 at the other. */
export const PAIR: Plan = {
  kms: [
    { id: "km-a", apps: ["app-a1", "app-a2"] },
    { id: "km-b", apps: ["app-b1", "app-b2"] },
  ],
  links: [{ id: "ab", kms: ["km-a", "km-b"] }],
};
