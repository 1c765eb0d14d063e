// Tests of the LMDB store: the contract, durability as the kernel sees it, a real full disk.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLmdbStore } from "../../src/vault/lmdb-store.ts";
import { exerciseStore } from "../contracts/store.ts";

function makeBench() {
  const dir = mkdtempSync(join(tmpdir(), "qkm-store-"));
  return {
    open: () => openLmdbStore({ dir, mapBytes: 64 << 20 }),
    remove: async () => rmSync(dir, { recursive: true, force: true }),
  };
}

exerciseStore("LMDB", makeBench);
