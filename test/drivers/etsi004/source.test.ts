// The driver for a vendor's ETSI 004 box against a model of the box, over real TLS, in both dialects.

import { expect, test } from "vitest";
import { openEtsi004KeyBox } from "../../../drivers/etsi004/source.ts";
import { asFault } from "../../../src/core/fault.ts";
import { secretOf } from "../../../src/core/memory/secret.ts";
import { exerciseKeyBox } from "../../contracts/key-box.ts";
import { boxRig } from "../common/box-rig.ts";

exerciseKeyBox("etsi004, wire B", () => boxRig("etsi004", openEtsi004KeyBox, { wire: "B" }));
exerciseKeyBox("etsi004, wire A", () => boxRig("etsi004", openEtsi004KeyBox, { wire: "A" }));

test("a box that gives smaller chunks says so: a block is several of them", async () => {
  await using rig = await boxRig("etsi004", openEtsi004KeyBox, { blockBytes: 32_768 });
  await using a = await rig.open("a");
  await using b = await rig.open("b");
  const [own, copy] = [secretOf(new Uint8Array(32_768)), secretOf(new Uint8Array(32_768))];
  for (const first of [0, 4]) {
    const offer = await a.offer(own);
    expect(offer.names[0]).toMatch(new RegExp(`^[0-9a-f]{32}:${first}:4$`));
    await b.fetch(offer.names, copy, 10_000);
    await offer.complete();
    expect(copy.lend((bytes) => Buffer.from(bytes).toString("hex"))).toBe(
      own.lend((bytes) => Buffer.from(bytes).toString("hex")),
    );
  }
});

test("an index is given once: a name that is fetched again is no key", async () => {
  await using rig = await boxRig("etsi004", openEtsi004KeyBox);
  await using a = await rig.open("a");
  await using b = await rig.open("b");
  const secret = secretOf(new Uint8Array(4096));
  const offer = await a.offer(secret);
  await b.fetch(offer.names, secretOf(new Uint8Array(4096)), 10_000);
  await offer.complete();
  const again = b
    .fetch(offer.names, secretOf(new Uint8Array(4096)), 0)
    .catch((thrown: unknown) => asFault(thrown).code);
  expect(await again).toBe("INSUFFICIENT_KEYS");
});

test("each end opens a stream of its own, and joins that of the other", async () => {
  await using rig = await boxRig("etsi004", openEtsi004KeyBox);
  await using a = await rig.open("a");
  await using b = await rig.open("b");
  const ids = new Set<string>();
  for (const [from, to] of [
    [a, b],
    [b, a],
    [a, b],
  ] as const) {
    const offer = await from.offer(secretOf(new Uint8Array(4096)));
    await to.fetch(offer.names, secretOf(new Uint8Array(4096)), 10_000);
    await offer.complete();
    ids.add(offer.names[0]?.split(":")[0] ?? "");
  }
  expect(ids.size).toBe(2);
});
