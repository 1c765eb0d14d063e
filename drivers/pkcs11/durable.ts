// Gets what SoftHSM wrote onto the disk: it never asks the system for that, so a power cut could take a KEK.

import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { tokenFolderOf } from "./softhsm-conf.ts";

/** Waits until the files of one token are on the disk. */
export type Settle = () => Promise<void>;

/**
 * For the token `serialNumber` under the SoftHSM configuration `conf`.
 * @throws Error when `conf` names no token directory
 */
export async function softhsmSettle(conf: string, serialNumber: string): Promise<Settle> {
  const tokens = tokenFolderOf(conf);
  return async () => {
    const names = await readdir(tokens);
    const own = names.filter((name) => name.replaceAll("-", "").endsWith(serialNumber));
    await Promise.all(own.map((name) => syncDirectory(join(tokens, name))));
    await sync(tokens);
  };
}

async function syncDirectory(path: string): Promise<void> {
  const names = await readdir(path);
  await Promise.all(names.filter((name) => !name.endsWith(".lock")).map((name) => sync(join(path, name))));
  await sync(path);
}

/** Flushes one file or directory; one that was destroyed meanwhile is no matter. */
async function sync(path: string): Promise<void> {
  try {
    await using file = await open(path, "r");
    await file.sync();
  } catch (thrown) {
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT")) throw thrown;
  }
}
