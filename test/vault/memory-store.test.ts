// Tests of the memory store that simulations use: the contract, and what it does when it is told to fail.

import { describe, expect, test } from "vitest";
import { exerciseStore, record, value } from "../contracts/store.ts";
import { makeMemoryDisk } from "../support/memory-store.ts";

exerciseStore("memory", () => ({ ...makeMemoryDisk(), remove: async () => {} }));

const put = (id: string) => [{ op: "put" as const, table: "t", id, value: value(id) }];

describe("a memory disk that is told to fail", () => {
  test("a crash loses what was not durable, whole changes only, and the store answers no more", async () => {
    const disk = makeMemoryDisk();
    const store = await disk.open();
    await store.write(put("first"));
    let settled = false;
    const pending = store.write([...put("second"), { op: "keep", record: record("b") }]);
    pending.finally(() => {
      settled = true;
    });
    disk.crash();
    const again = await disk.open();
    await again.write([]);
    expect([...again.rows("t")].map(([id]) => id)).toEqual(["first"]);
    expect([...again.heads()]).toEqual([]);
    expect(settled).toBe(false);
  });

  test("a crash may keep some of the changes under way, in their order", async () => {
    const disk = makeMemoryDisk();
    const store = await disk.open();
    for (const id of ["1", "2", "3"]) void store.write(put(id));
    disk.crash(2);
    expect([...(await disk.open()).rows("t")].map(([id]) => id)).toEqual(["1", "2"]);
  });

  test.each(["lost", "kept"] as const)("a rejected commit (%s) rejects all behind it", async (how) => {
    const disk = makeMemoryDisk();
    const store = await disk.open();
    disk.reject(how);
    const writes = [store.write(put("1"))];
    await expect(writes[0]).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await expect(store.write(put("2"))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    await store.close();
    expect([...(await disk.open()).rows("t")]).toHaveLength(how === "kept" ? 1 : 0);
  });

  test("a full disk takes no record, but removes one", async () => {
    const disk = makeMemoryDisk();
    const store = await disk.open();
    await store.write([{ op: "keep", record: record("a") }]);
    disk.full(true);
    await store.write([{ op: "drop", head: record("a") }]);
    await expect(store.write([{ op: "keep", record: record("b") }])).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
    expect(disk.records).toEqual([]);
  });
});
