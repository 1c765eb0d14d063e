// What borders need of the key manager around them.

import type { AppId, KmId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import type { BorderRow } from "../common/rows.ts";
import type { BorderLine } from "../ports/borders.ts";
import type { Answer, FetchRequest, KeySizes, SupplyRequest } from "../ports/keys.ts";
import type { PeerConnection } from "../ports/peers.ts";

/** One row of the store's table `border`. */
export type StoredBorderRow = readonly [id: string, row: BorderRow];

/** What borders need of the key manager. */
export interface BorderHost {
  readonly context: Context;
  /** As of the start: nothing in them is on its way out any more. */
  readonly rows: readonly StoredBorderRow[];
  /** @throws Fault when nothing may be done with keys now */
  checkWorking(): void;
  /** Of an application that the configuration names; `border`: of one that is in another network. */
  appOf(id: AppId): { readonly home: KmId; readonly border?: KmId } | undefined;
  /** Keys by ID, as an application at home here would ask. */
  fetch(request: FetchRequest, answer: Answer): () => void;
  /** A connection to another KM of this network whose state exchange has ended. */
  peerOf(km: KmId): Pick<PeerConnection, "tell"> | undefined;
  /** Of keys shared with another KM. @throws Fault NO_ROUTE, EXTENSION_UNSUPPORTED */
  sizes(km: KmId): KeySizes;
  /** Keys shared with another KM, of whichever application. */
  supply(km: KmId, request: SupplyRequest, answer: Answer): () => void;
  /** Keys that another KM has supplied, by ID. */
  fetchFrom(km: KmId, request: FetchRequest, answer: Answer): () => void;
}

/** What the configuration says of one border. */
export interface BorderSettings {
  /** Undefined where the configuration has it no more. */
  readonly line: BorderLine | undefined;
  /** Whether keys may leave over it; otherwise they only come in. */
  readonly isOut: boolean;
  /** How long keys may be on their way out until the other network has acknowledged them. */
  readonly timeoutMs: number;
}
