// The harness itself: a network of real processes that supplies keys, and leaves nothing behind.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { appId } from "../../src/core/ids.ts";
import { eventually } from "./support/eventually.ts";
import { startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";

/** The command lines of all processes that mention `text`. */
const processesWith = (text: string): string[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")];
      } catch {
        return [];
      }
    })
    .filter((line) => line.includes(text));

test("two KMs supply over ETSI 014 and Ak what the other end fetches; the end leaves no process and no file", async () => {
  let dir = "";
  {
    await using network = await startNetwork({ ...PAIR, config: { supply: { stock_high: 5 } } });
    dir = network.dir;
    await network.stocked();
    const [a, b] = [network.app("app-a1"), network.app("app-b1")];
    const supplied = await a.encKeys("app-b1", { number: 3, size: 512 });
    expect(supplied.map(({ key }) => key.length)).toEqual([64, 64, 64]);
    const ids = supplied.map(({ id }) => id);
    expect(await b.decKeys("app-a1", ids)).toEqual(supplied);

    await using ak = await b.connectAk();
    const [pushed] = await ak.getKeys({ destination: appId("app-a1"), sizeBits: 256 });
    const fetched = await a.decKeys("app-b1", [pushed?.keyId ?? ""]);
    expect(fetched.map(({ key }) => Uint8Array.from(key))).toEqual([
      pushed?.key.lend((bytes) => Uint8Array.from(bytes)),
    ]);

    expect((await network.km("km-a").status()).km).toBe("km-a");
    expect((await network.km("km-a").metrics()).sum("qkm_keys_supplied_total", { door: "etsi014" })).toBe(3);
    expect(network.km("km-a").config.supply.stockHigh).toBe(5);
    expect(processesWith(dir).length).toBeGreaterThanOrEqual(3);
  }
  await eventually("its last process has ended", () => processesWith(dir).length === 0);
  expect(existsSync(dir)).toBe(false);
});
