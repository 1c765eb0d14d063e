// The pairing key: with it on both ends blocks pass, otherwise nothing gets past the hellos.

import { createHash } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import { Fault } from "../../src/core/fault.ts";
import { type Secret, secretOf } from "../../src/core/memory/secret.ts";
import { Reader } from "../../src/kq/codec.ts";
import { decodeCobs, encodeCobs } from "../../src/kq/framing/cobs.ts";
import { helloFrame, readHello } from "../../src/kq/greeting.ts";
import { SealedGuard } from "../../src/kq/guard.ts";
import { type Hello, KQ } from "../../src/kq/messages.ts";
import { parsePairingKey, proves } from "../../src/kq/pairing.ts";
import { Rig, type RigOptions } from "./rig.ts";
import { keyOf, seededRandom } from "./world.ts";

const key = (byte: number): Secret => secretOf(Buffer.alloc(32, byte));

function rigOf(options: RigOptions): Rig {
  const rig = new Rig(options);
  onTestFinished(() => rig.close());
  return rig;
}

/** Everything that the line carried to one end, decoded. */
function framesOf(carried: readonly Buffer[]): Buffer[] {
  const frames: Buffer[] = [];
  for (let rest = Buffer.concat(carried); rest.length > 0; ) {
    const end = rest.indexOf(0);
    const plain = Buffer.alloc(5_000);
    frames.push(plain.subarray(0, decodeCobs(rest.subarray(0, end), plain)));
    rest = rest.subarray(end + 1);
  }
  return frames;
}

test("with the same pairing key blocks arrive, and no piece of one lies bare on the line", async () => {
  const rig = rigOf({ host: { pairingKey: key(7) }, module: { pairingKey: key(7) } });
  const carried: Buffer[] = [];
  rig.hurt = (bytes, towards) => {
    if (towards === "host") carried.push(Buffer.from(bytes));
    return [bytes];
  };
  rig.plug();
  rig.make(1, 0, 10);
  expect(await rig.until(() => rig.delivered.length === 10 && rig.module.held.blocks === 0, 5_000)).toBe(true);
  expect(rig.allRight).toBe(true);
  const line = Buffer.concat(framesOf(carried));
  for (let sequence = 0; sequence < 10; sequence++) {
    const block = keyOf(1, sequence, 4_096);
    for (let at = 0; at < block.length; at += 16) expect(line.includes(block.subarray(at, at + 16))).toBe(false);
  }
});

test("a frame that is sent again is the same byte by byte, and no number carries two frames", async () => {
  const rig = rigOf({ host: { pairingKey: key(7) }, module: { pairingKey: key(7) } });
  const random = seededRandom(3);
  const carried: Buffer[] = [];
  rig.hurt = (bytes, towards) => {
    if (towards === "host") carried.push(Buffer.from(bytes));
    return random.fraction() < 0.4 ? [] : [bytes];
  };
  rig.plug();
  rig.make(1, 0, 20);
  expect(await rig.until(() => rig.delivered.length === 20 && rig.module.held.blocks === 0)).toBe(true);
  const seen = new Map<string, string>();
  let again = 0;
  let nonce = "";
  for (const frame of framesOf(carried)) {
    if (frame[0] === KQ.hello.code) nonce = frame.subarray(8, 24).toString("hex");
    if (frame[0] === KQ.hello.code) continue;
    const number = `${nonce}:${frame[0] === KQ.acknowledgement.code}:${frame.readUInt32BE(1)}`;
    const digest = createHash("sha256").update(frame).digest("hex");
    if (seen.has(number)) again++;
    expect(seen.get(number) ?? digest).toBe(digest);
    seen.set(number, digest);
  }
  expect(again).toBeGreaterThan(0);
});

test.each([
  ["another pairing key", { host: { pairingKey: key(7) }, module: { pairingKey: key(8) } }, "pairing-wrong"],
  ["no pairing key", { host: { pairingKey: key(7) } }, "pairing-missing"],
  ["a pairing key that the host has not", { module: { pairingKey: key(7) } }, "pairing-missing"],
])("a module with %s never gets past hello, and the log says so once", async (_what, options, alarm) => {
  const rig = rigOf(options);
  const carried: Buffer[] = [];
  rig.hurt = (bytes) => {
    carried.push(Buffer.from(bytes));
    return [bytes];
  };
  rig.plug();
  rig.make(1, 0, 3);
  await rig.until(() => false, 10_000);
  expect(rig.delivered).toEqual([]);
  expect(rig.host.status()).toEqual({ line: "down", alarms: [alarm] });
  expect(new Set(framesOf(carried).map((frame) => frame[0]))).toEqual(new Set([KQ.hello.code]));
  const warnings = rig.heard.lines.filter(({ level }) => level === "warn");
  expect(warnings).toMatchObject([{ fields: { link: "ab", alarm } }]);
});

test("a hello that was changed on the way proves nothing", () => {
  using pairing = key(7);
  const self = { side: "tx", link: "ab", name: "Test Tx", run: 3, blockBytes: 4_096, pairingKey: pairing } as const;
  const hello = readHello(helloFrame(self, Buffer.alloc(16, 1), Buffer.alloc(16, 2)));
  if (hello === undefined || hello === "otherVersion") throw new Error("no hello");
  expect(proves(pairing, hello)).toBe(true);
  const changes = [{ run: 4 }, { blockBytes: 8_192 }, { link: "cd" }, { own: Buffer.alloc(16, 3) }, { side: 2 }];
  for (const change of changes) expect(proves(pairing, { ...hello, ...change })).toBe(false);
});

test("each end opens the other's frames only; a changed header, body or tag opens nothing", () => {
  using pairing = key(7);
  const nonces = { host: Buffer.alloc(16, 1), module: Buffer.alloc(16, 2) };
  using host = new SealedGuard("host", pairing, nonces);
  using module = new SealedGuard("module", pairing, nonces);
  const frame = Buffer.from(host.seal("credit", 5, (to) => KQ.credit.put(to, { blocks: 9 })));
  const opened = module.open(frame, ({ number, body }) => [number, KQ.credit.get(new Reader(body))]);
  expect(opened).toEqual([5, { blocks: 9 }]);
  expect(host.open(frame, () => true)).toBeUndefined();
  for (let at = 0; at < frame.length; at++) {
    const changed = Buffer.from(frame);
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect(module.open(changed, () => true)).toBeUndefined();
  }
});

test("each number has its own key stream", () => {
  using pairing = key(7);
  using host = new SealedGuard("host", pairing, { host: Buffer.alloc(16, 1), module: Buffer.alloc(16, 2) });
  const bodies = new Set<string>();
  for (const name of ["credit", "acknowledgement"] as const) {
    for (const number of [0, 1, 2, 0xffff_ffff]) {
      const frame = host.seal(name, number, (to) => to.raw(Buffer.alloc(16)));
      bodies.add(frame.subarray(5, 21).toString("hex"));
    }
  }
  expect(bodies.size).toBe(8);
});

/** A module with a pairing key, and what it said last. */
function moduleAlone() {
  const rig = rigOf({ module: { pairingKey: key(7) } });
  let answer: Hello | undefined;
  rig.module.attach((bytes) => {
    const [frame = Buffer.alloc(0)] = framesOf([Buffer.from(bytes)]);
    const hello = frame[0] === KQ.hello.code ? readHello(frame) : undefined;
    if (hello !== undefined && hello !== "otherVersion") answer = hello;
    return true;
  });
  const say = (own: Uint8Array, echo?: Uint8Array, pairingKey?: Secret): Hello => {
    const self = { side: "host", link: "ab", name: "qkm", run: 0, blockBytes: 4_096, pairingKey } as const;
    const frame = Buffer.from(helloFrame(self, own, echo));
    const coded = Buffer.alloc(frame.length + 10);
    rig.module.received(coded.subarray(0, encodeCobs(frame, coded, 0)));
    if (answer === undefined) throw new Error("the module says nothing");
    return answer;
  };
  return { rig, say };
}

test("a module does not open for a host whose last hello proves nothing", () => {
  const { rig, say } = moduleAlone();
  const own = Buffer.alloc(16, 1);
  for (const wrong of [undefined, key(8)]) {
    const { own: echo } = say(own, undefined, wrong);
    say(own, echo, wrong);
    expect(rig.module.connected).toBe(false);
  }
  expect(rig.heard.lines.map(({ sentence }) => sentence)).toEqual([
    expect.stringContaining("has none"),
    expect.stringContaining("another pairing key"),
  ]);
  const { own: echo } = say(own, undefined, key(7));
  say(own, echo, key(7));
  expect(rig.module.connected).toBe(true);
});

test("no pair of random bytes makes two connections: hellos that are said again change nothing or bring new ones", () => {
  const { rig, say } = moduleAlone();
  const [own, other] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)];
  const first = say(own, undefined, key(7));
  expect(say(own, undefined, key(7)).own).toEqual(first.own);
  say(own, first.own, key(7));
  expect(rig.module.connected).toBe(true);
  say(own, undefined, key(7));
  expect(rig.module.connected).toBe(true);
  say(own, first.own, key(7));
  expect(rig.module.connected).toBe(true);
  const second = say(other, undefined, key(7));
  expect(rig.module.connected).toBe(false);
  expect(second.own).not.toEqual(first.own);
  const third = say(own, undefined, key(7));
  expect([first.own, second.own]).not.toContainEqual(third.own);
  say(own, first.own, key(7));
  expect(rig.module.connected).toBe(false);
});

test("a pairing key file has 32 bytes or 64 hexadecimal digits, and is zeroed when it was read", () => {
  const bytes = Buffer.from("00112233445566778899aAbBcCdDeEfF00112233445566778899aabbccddeeff", "hex");
  const files = [Buffer.from(bytes), Buffer.from(bytes.toString("hex")), Buffer.from(`${bytes.toString("hex")}\r\n`)];
  for (const file of files) {
    using secret = parsePairingKey(file);
    expect(secret.lend((read) => bytes.equals(read))).toBe(true);
    expect(file.every((byte) => byte === 0)).toBe(true);
  }
  const wrong = ["", "00", bytes.toString("hex").slice(1), `${bytes.toString("hex")}00`, "z".repeat(64)];
  for (const file of wrong) expect(() => parsePairingKey(Buffer.from(file))).toThrow(Fault);
});
