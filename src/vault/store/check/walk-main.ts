// The process that reads a store to its end:  node walk-main.ts DIR  says a line of JSON, unless it dies of what it reads.

import { DamagedStore } from "./damaged-store.ts";
import { inspectStore } from "./inspect.ts";
import type { WalkAnswer } from "./walk.ts";

/** What LMDB says of a file that is not as it wrote it (lmdb.h: MDB_PAGE_NOTFOUND … MDB_INVALID, MDB_BAD_*). */
const DAMAGE = new Set([-30797, -30796, -30795, -30794, -30793, -30782, -30781, -30780, -30779]);

async function answer(dir: string): Promise<WalkAnswer> {
  try {
    const found = await inspectStore(dir);
    if (found === undefined) return { error: "it is not there any more" };
    return { found: { ...found, epochs: [...found.epochs] } };
  } catch (thrown) {
    const { message, code } = thrown as Error & { readonly code?: unknown };
    const isDamage = thrown instanceof DamagedStore || (typeof code === "number" && DAMAGE.has(code));
    return isDamage ? { damaged: message } : { error: message };
  }
}

const [, , dir] = process.argv;
if (dir === undefined) process.exitCode = 64;
else process.stdout.write(`${JSON.stringify(await answer(dir))}\n`);
