// The driver for a vendor's ETSI 014 box against a model of the box, over real TLS.

import { afterEach, expect, test } from "vitest";
import { openEtsi014KeyBox } from "../../../drivers/etsi014/source.ts";
import { asFault, type Fault } from "../../../src/core/fault.ts";
import { secretOf } from "../../../src/core/memory/secret.ts";
import { exerciseKeyBox } from "../../contracts/key-box.ts";
import { type BoxRig, boxRig } from "../common/box-rig.ts";

exerciseKeyBox("etsi014", () => boxRig("etsi014", openEtsi014KeyBox));

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const part of open.splice(0).reverse()) await part[Symbol.asyncDispose]();
});

async function rigOf(options: Parameters<typeof boxRig>[2]): Promise<BoxRig> {
  const rig = await boxRig("etsi014", openEtsi014KeyBox, options);
  open.push(rig);
  return rig;
}

const empty = (bytes = 4096) => secretOf(new Uint8Array(bytes));
const faultOf = (work: Promise<unknown>): Promise<Fault | undefined> =>
  work.then(
    () => undefined,
    (thrown: unknown) => asFault(thrown),
  );

async function openAt(rig: BoxRig, end: "a" | "b") {
  const box = await rig.open(end);
  open.push(box);
  return box;
}

test("6.1: keys of a size that does not divide the block fill it, cut alike at both ends, over several requests", async () => {
  const rig = await rigOf({ blockBytes: 32_768, keyBits: 1000 });
  const [a, b] = [await openAt(rig, "a"), await openAt(rig, "b")];
  const [own, copy] = [empty(32_768), empty(32_768)];
  const { names } = await a.offer(own);
  expect(names).toHaveLength(Math.ceil(32_768 / 125));
  await b.fetch(names, copy, 10_000);
  const hex = (secret: typeof own) => secret.lend((bytes) => Buffer.from(bytes).toString("hex"));
  expect(hex(copy)).toBe(hex(own));
  expect(hex(own).endsWith("00".repeat(16))).toBe(false);
});

test.each([
  [{ blockBytes: 4096, keyBits: 8192 }, "key_bits"],
  [{ blockBytes: 32_768, keyBits: 64 }, "block_bytes"],
])(
  "a size that the box does not give, or of which a block would need too many, says what to change: %o",
  async (options, name) => {
    const box = await openAt(await rigOf(options), "a");
    const fault = await faultOf(box.offer(empty(options.blockBytes)));
    expect(fault?.code).toBe("BOX_UNAVAILABLE");
    expect(fault?.message).toContain(name);
    expect(box.status()).toMatchObject({ line: "down", alarms: ["box-refuses"] });
  },
);

test("a box that has too little key is up, and says nothing more", async () => {
  const box = await openAt(await rigOf({ rate: { rateBitsPerS: 1, bufferBits: 4096 } }), "a");
  expect((await faultOf(box.offer(empty())))?.code).toBe("INSUFFICIENT_KEYS");
  expect(box.status()).toMatchObject({ line: "up", alarms: [] });
});

test("a box that limits requests says when to ask again", async () => {
  const rig = await rigOf({});
  const box = await openAt(rig, "a");
  await box.offer(empty());
  rig.faults({ requestsPerS: 1 });
  const fault = await faultOf(box.offer(empty()));
  expect(fault).toMatchObject({ code: "INSUFFICIENT_KEYS", retryAfterMs: 1000 });
});

test("our own certificate that has expired is told before it is shown; a renewed one is taken without a restart", async () => {
  const rig = await rigOf({});
  await rig.boxes.expireOwn("a", true);
  const box = await openAt(rig, "a");
  const fault = await faultOf(box.offer(empty()));
  expect(fault?.message).toContain("has expired");
  expect(box.status()).toMatchObject({ line: "down", alarms: ["own-certificate"] });
  await rig.boxes.expireOwn("a", false);
  await box.offer(empty());
  expect(box.status()).toMatchObject({ line: "up", alarms: [] });
});

test("files are read with each connection, though nothing was wrong with the one before", async () => {
  const rig = await rigOf({});
  const box = await openAt(rig, "a");
  await box.offer(empty());
  await rig.unplug("a");
  await rig.plug("a");
  await rig.boxes.expireOwn("a", true);
  // The driver has seen the end of the connection, or finds it out with this call.
  expect((await faultOf(box.offer(empty())))?.message).toContain("has expired");
});

test("a KM that is not the one of this end is refused, with the alarm for its certificate", async () => {
  const rig = await rigOf({});
  const other = await rigOf({ tls: rig.boxes.files("b") });
  const box = await openAt(other, "a");
  expect((await faultOf(box.offer(empty())))?.code).toBe("BOX_UNAVAILABLE");
  expect(box.status().alarms).toEqual(["own-certificate"]);
});

test("that a box is gone is logged once, not with each try", async () => {
  const rig = await rigOf({});
  const box = await openAt(rig, "a");
  await box.offer(empty());
  await rig.unplug("a");
  for (let tried = 0; tried < 4; tried++) await faultOf(box.offer(empty()));
  const warned = rig.told.lines.filter(({ fields }) => fields.event === "box_unavailable");
  expect(warned.length).toBeLessThanOrEqual(2);
  expect(warned[0]?.fields).toMatchObject({ link: "ab", alarm: "box-unreachable" });
});
