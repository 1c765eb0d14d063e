// Tests of locked memory: that it is locked, by the kernel's own account, and what happens when it cannot be.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LockedMemory } from "../../../src/vault/memory/locked-memory.ts";
import { recorder } from "../../support/recorder.ts";

const lockedKiB = () => Number(/^VmLck:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
const CHILD = join(import.meta.dirname, "../child.ts");

/** What a process without privileges says that may lock `limitKiB`. */
const lockAsNobody = (limitKiB: number, bytes: number, allowed = "") =>
  execFileSync(
    "sh",
    ["-c", `ulimit -l ${limitKiB}; exec "$0" "$@"`, process.execPath, CHILD, "lock", `${bytes}`, allowed],
    {
      encoding: "utf8",
    },
  ).trim();

describe("locked memory", () => {
  test("is locked as the kernel counts it, zeroed, and given back", () => {
    const before = lockedKiB();
    const memory = new LockedMemory({ allowUnlocked: false, log: recorder().log });
    const region = memory.region(1 << 20);
    expect(lockedKiB() - before).toBeGreaterThanOrEqual(1024);
    expect(region.every((byte) => byte === 0)).toBe(true);
    region.fill(7);
    memory.zero();
    expect(region.every((byte) => byte === 0)).toBe(true);
    memory[Symbol.dispose]();
    expect(region).toHaveLength(0);
  });

  test("that cannot be locked is refused: MEMORY_NOT_LOCKED", () => {
    expect(lockAsNobody(64, 1 << 20)).toBe("refused: MEMORY_NOT_LOCKED");
  });

  test("that cannot be locked is used with a warning where the configuration allows it", () => {
    expect(lockAsNobody(64, 1 << 20, "allowed")).toBe("locked 1048576 with 1 warnings");
  });

  test("an ordinary user's limit of 8 MiB suffices for slab and ring of 6 MiB", () => {
    expect(lockAsNobody(8192, 6 << 20)).toBe("locked 6291456 with 0 warnings");
  });
});
