// Reads the store of a KM that does not run to its end, without changing it. See `walk.ts` for who may.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { open } from "lmdb";
import type { Row } from "../../vault.ts";
import { untrustedRow, VAULT_TABLE } from "../row-tags.ts";
import { checkFile } from "./file-check.ts";

/** What a store holds. */
export interface StoreFindings {
  readonly rows: number;
  readonly records: number;
  /** Epochs that records are sealed in, with how many, in order. */
  readonly epochs: ReadonlyMap<number, number>;
  /** Of the rollback guard; undefined before the first start. */
  readonly guard: number | undefined;
  /** Serial number of the token that it was last used with. */
  readonly serial: string | undefined;
}

/** Undefined when there is none yet. @throws DamagedStore; Error of LMDB when it cannot be read */
export async function inspectStore(dir: string): Promise<StoreFindings | undefined> {
  if (!existsSync(join(dir, "data.mdb"))) return undefined;
  checkFile(join(dir, "data.mdb"));
  const options = { path: dir, noSubdir: false, readOnly: true, maxDbs: 2, encoding: "binary", cache: false } as const;
  const root = open(options);
  try {
    const rows = root.openDB<Buffer>("rows", { encoding: "binary", cache: false });
    const records = root.openDB<Buffer>("records", { encoding: "binary", cache: false });
    const vault = (id: string): Row | undefined => {
      const bytes = rows.get([VAULT_TABLE, id]);
      return bytes && untrustedRow(bytes);
    };
    const epochs = new Map<number, number>();
    for (const { key, value } of records.getRange()) {
      const [, epoch] = key as [string, number];
      if (value.length > 0) epochs.set(epoch, (epochs.get(epoch) ?? 0) + 1);
    }
    let count = 0;
    for (const { value } of rows.getRange()) count += Math.sign(value.length);
    const [guard, token] = [vault("guard")?.counter, vault("token")?.serial];
    return {
      rows: count,
      records: [...epochs.values()].reduce((sum, some) => sum + some, 0),
      epochs: new Map([...epochs].sort(([a], [b]) => a - b)),
      guard: typeof guard === "number" ? guard : undefined,
      serial: typeof token === "string" ? token : undefined,
    };
  } finally {
    await root.close();
  }
}
