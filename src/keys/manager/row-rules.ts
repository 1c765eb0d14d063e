// What the vault has to know of the key manager's tables in order to check their rows at a start.

import { isSoundRow, TABLE } from "../common/rows.ts";

/** See `RowRules` of the vault. */
export const ROW_RULES = {
  /** The audit log's place: written before the token is there, and witnessed by the log's own seals. */
  untagged: new Set(["audit"]),
  /**
   * Each of these rows names one block, a route, or homes of applications: without its row a block is destroyed, and nobody can name it again. Where
   * a link, its pads, a peer's serials, whole keys or the clock are lost, what was used is not known any more.
   */
  single: new Set<string>([
    TABLE.block,
    TABLE.source,
    TABLE.held,
    TABLE.route,
    TABLE.directory,
    TABLE.directoryHead,
    TABLE.home,
    TABLE.homeHead,
  ]),
  isSound: isSoundRow,
} as const;
