// Rows of a border as they are written.

import type { KmId } from "../../core/ids.ts";
import type { BorderRow } from "../common/rows.ts";
import type { BorderPath } from "../ports/borders.ts";

const NOTHING = { state: "", keys: "[]", taken: new Uint8Array(0), block: "", callback: "", message: "" } as const;

/** A row with nothing in the columns that are not given. */
export const borderRow = (
  kind: BorderRow["kind"],
  { initiator, target }: BorderPath,
  given: Partial<BorderRow> & { readonly border: KmId; readonly bornAt: number },
): BorderRow => ({ ...NOTHING, ...given, kind, initiator, target });

/** The IDs in a row's `keys`. */
export const idsIn = ({ keys }: Pick<BorderRow, "keys">): readonly string[] =>
  (JSON.parse(keys) as readonly (readonly [string, number])[]).map(([id]) => id);

/** UUIDs are compared whatever their case. */
export const nameOf = (keyId: string): string => keyId.toLowerCase();
