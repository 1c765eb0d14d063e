// A damaged store is put out of the way, so that the KM starts without its keys rather than dying of it again and again.

import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Log, Meter } from "../../../core/ports.ts";
import { DATA_FILE } from "../lmdb-store.ts";
import { DamagedStore } from "./damaged-store.ts";
import { walkStore } from "./walk.ts";

/** The damaged file's name; the last one only, since it is as large as the store. */
const ASIDE = "data.mdb.damaged";
const LOCK_FILE = "lock.mdb";

/** Who is told of a store that is set aside. */
export interface SetAsidePorts {
  readonly log: Log;
  readonly meter: Meter;
}

/**
 * Reads the whole store in another process. Only at the start, by the owner of the directory: a KM that runs has marks in
 * memory which an empty store does not have. A kill in between leaves the file here or there.
 * @returns whether there was one @throws Error of the file system
 */
export async function setAsideIfDamaged(dir: string, { log, meter }: SetAsidePorts): Promise<boolean> {
  // LMDB maps this one, too. It holds nothing while nobody has the store open.
  rmSync(join(dir, LOCK_FILE), { force: true });
  try {
    await walkStore(dir);
    return false;
  } catch (thrown) {
    if (!(thrown instanceof DamagedStore)) {
      log.warn({ err: thrown }, "the key store could not be read to its end before it is used");
      return false;
    }
    const aside = join(dir, ASIDE);
    renameSync(join(dir, DATA_FILE), aside);
    rmSync(join(dir, LOCK_FILE), { force: true });
    meter.add("store_faults", { kind: "damaged" });
    meter.add("alarms", { alarm: "store_damaged" });
    log.error(
      { alarm: "store_damaged", damage: thrown.message, aside },
      "the key store is damaged and was set aside: the keys in it are lost, and nothing else; this key manager begins with an " +
        "empty store and gets new key from its links. Check the disk, then remove the damaged file",
    );
    return true;
  }
}
