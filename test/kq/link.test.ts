// Host and module together, on a line that is chopped, cut, hurt, pulled out and put back.

import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { linkId } from "../../src/core/ids.ts";
import type { Arrived } from "../../src/kq/host/arrivals.ts";
import { LIMITS } from "../../src/kq/limits.ts";
import { type Hurt, Rig, type RigOptions } from "./rig.ts";
import { seededRandom } from "./world.ts";

function rigOf(options: RigOptions = {}): Rig {
  const rig = new Rig(options);
  onTestFinished(() => {
    rig.close();
    expect(rig.pool.taken).toBe(0);
  });
  return rig;
}

const names = (run: number, count: number) => Array.from({ length: count }, (_, i) => `${run}:${i}`);

/** Brings 20 blocks over a line that is hurt for a while, then left alone: all come, in order, none wrong, none twice. */
async function survives(hurt: (rig: Rig) => Hurt, hurtMs = 3_000, slots = 4): Promise<Rig> {
  const rig = rigOf({ slots });
  rig.hurt = hurt(rig);
  rig.plug();
  rig.make(1, 0, 20);
  await rig.until(() => rig.delivered.length === 20, hurtMs);
  rig.hurt = (bytes) => [bytes];
  const done = () => rig.delivered.length >= 20 && rig.module.held.blocks === 0;
  expect(await rig.until(done, 30_000)).toBe(true);
  expect(rig.names).toEqual(names(1, 20));
  expect(rig.allRight).toBe(true);
  return rig;
}

test("blocks arrive in order, with their bytes, and the module forgets them when they are durable", async () => {
  const rig = await survives(() => (bytes) => [bytes]);
  expect(rig.heard.count("line_faults")).toBe(0);
});

test.each([1, 2, 3, 7, 64, 253, 254, 255, 256, 1000, 4095])("a line that delivers %i bytes at a time", async (size) => {
  const rig = rigOf();
  rig.hurt = (bytes) =>
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
  rig.plug();
  rig.make(1, 0, 3);
  expect(await rig.until(() => rig.module.held.blocks === 0, 2_000)).toBe(true);
  expect(rig.names).toEqual(names(1, 3));
  expect(rig.allRight).toBe(true);
  expect(rig.heard.count("line_faults")).toBe(0);
});

test("garbage at any byte is survived: nothing wrong, nothing lost, nothing twice", async () => {
  const hurt = (seed: number, insert: Uint8Array) => (): Hurt => {
    const random = seededRandom(seed);
    return (bytes) => {
      if (random.fraction() < 0.7) return [bytes];
      const at = Math.floor(random.fraction() * bytes.length);
      return [bytes.subarray(0, at), Buffer.from(insert), bytes.subarray(at)];
    };
  };
  const property = fc.asyncProperty(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 50 }), async (seed, insert) => {
    await survives(hurt(seed, insert));
  });
  await fc.assert(property, { numRuns: 20 });
});

test("flipped and dropped bytes are survived: nothing wrong, nothing lost, nothing twice", async () => {
  const hurt = (seed: number, one: number, drop: boolean) => (): Hurt => {
    const random = seededRandom(seed);
    return (bytes) => {
      const changed = Buffer.from(bytes);
      for (
        let at = Math.floor(random.fraction() * one);
        at < changed.length;
        at += 1 + Math.floor(random.fraction() * one)
      ) {
        if (drop) changed.copy(changed, at, at + 1);
        else changed[at] = (changed[at] ?? 0) ^ (1 << Math.floor(random.fraction() * 8));
      }
      return [changed];
    };
  };
  const property = fc.asyncProperty(
    fc.nat(),
    fc.integer({ min: 500, max: 50_000 }),
    fc.boolean(),
    async (seed, one, drop) => {
      await survives(hurt(seed, one, drop));
    },
  );
  await fc.assert(property, { numRuns: 30 });
});

test("pieces that vanish or come twice are survived", async () => {
  const hurt = (seed: number) => (): Hurt => {
    const random = seededRandom(seed);
    return (bytes) => {
      const fate = random.fraction();
      if (fate < 0.2) return [];
      return fate < 0.4 ? [bytes, bytes] : [bytes];
    };
  };
  await fc.assert(
    fc.asyncProperty(fc.nat(), (seed) => survives(hurt(seed)).then(() => {})),
    { numRuns: 20 },
  );
});

test.each(["host", "module"] as const)(
  "a line pulled out at any byte on the way to the %s loses nothing, repeats nothing",
  async (way) => {
    for (let cut = 1; cut < (way === "host" ? 14_000 : 400); cut += way === "host" ? 397 : 9) {
      let passed = 0;
      let pulled = false;
      const hurt =
        (rig: Rig): Hurt =>
        (bytes, towards) => {
          if (towards !== way || pulled) return [bytes];
          passed += bytes.length;
          if (passed < cut) return [bytes];
          pulled = true;
          rig.clock.after(2, () => {
            rig.unplug();
            rig.clock.after(20, () => rig.plug());
          });
          return [bytes.subarray(0, Math.max(0, bytes.length - (passed - cut)))];
        };
      await survives(hurt, 3_000, 1 + (cut % 3));
    }
  },
);

test("random garbage alone makes neither a connection nor a block", async () => {
  const property = fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), async (pieces) => {
    const rig = rigOf();
    rig.host.attach(() => true);
    for (const piece of pieces) rig.host.received(Buffer.from(piece));
    await rig.until(() => false, 50);
    expect(rig.host.status().line).toBe("down");
    expect(rig.delivered).toEqual([]);
  });
  await fc.assert(property);
});

test("a module that restarts at sequence 0 has a higher run; half a block is dropped", async () => {
  const rig = rigOf();
  let seen = 0;
  rig.hurt = (bytes, towards) => {
    const before = seen;
    if (towards === "host") seen += bytes.length;
    return towards === "host" && seen > 6_500 ? [bytes.subarray(0, Math.max(0, 6_500 - before))] : [bytes];
  };
  rig.plug();
  rig.make(1, 0, 4);
  expect(await rig.until(() => rig.delivered.length === 1, 1_000)).toBe(true);
  rig.hurt = (bytes) => [bytes];
  rig.restartModule(2);
  rig.make(2, 0, 4);
  expect(await rig.until(() => rig.delivered.length === 5, 10_000)).toBe(true);
  expect(rig.names).toEqual(["1:0", ...names(2, 4)]);
  expect(rig.allRight).toBe(true);
  expect(rig.host.status().run).toBe(2);
});

test("a host that restarts gets all that was not acknowledged again, and nothing that was", async () => {
  const rig = rigOf({ slots: 8 });
  const taken: Arrived[] = [];
  rig.take = (block) => void taken.push(block);
  rig.plug();
  rig.make(1, 0, 6);
  expect(await rig.until(() => taken.length === 6, 2_000)).toBe(true);
  for (const index of [4, 1]) taken[index]?.acknowledge();
  expect(await rig.until(() => rig.module.held.blocks === 4, 2_000)).toBe(true);
  for (const block of taken) block.key[Symbol.dispose]();
  rig.take = (block) => rig.keep(block);
  rig.restartHost();
  expect(await rig.until(() => rig.delivered.length === 4 && rig.module.held.blocks === 0, 10_000)).toBe(true);
  expect(rig.names).toEqual(["1:0", "1:2", "1:3", "1:5"]);
});

test("a block in someone's hands is not delivered again after the line was out; its receipt still counts", async () => {
  const rig = rigOf();
  const taken: Arrived[] = [];
  rig.take = (block) => void taken.push(block);
  rig.plug();
  rig.make(1, 0, 2);
  expect(await rig.until(() => taken.length === 2, 2_000)).toBe(true);
  rig.unplug();
  taken[0]?.acknowledge();
  rig.plug();
  expect(await rig.until(() => rig.module.held.blocks === 1, 5_000)).toBe(true);
  await rig.until(() => false, 500);
  expect(taken.length).toBe(2);
  expect(rig.heard.count("line_faults", { kind: "repeated" })).toBe(1);
  taken[1]?.acknowledge();
  expect(await rig.until(() => rig.module.held.blocks === 0, 5_000)).toBe(true);
  for (const block of taken) block.key[Symbol.dispose]();
});

test("the module sends no more blocks than there are slots, and goes on when one is released", async () => {
  const rig = rigOf({ slots: 3 });
  const taken: Arrived[] = [];
  rig.take = (block) => void taken.push(block);
  rig.plug();
  rig.make(1, 0, 5);
  await rig.until(() => false, 1_000);
  expect(taken.length).toBe(3);
  taken[1]?.key[Symbol.dispose]();
  await rig.until(() => false, 1_000);
  expect(taken.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3]);
  for (const block of taken) block.key[Symbol.dispose]();
  expect(await rig.until(() => taken.length === 5, 1_000)).toBe(true);
  for (const block of taken) block.key[Symbol.dispose]();
});

test("a module that holds as many blocks as it can drops the newest and says how many", async () => {
  const rig = rigOf({ module: { bufferBlocks: 4 } });
  rig.make(1, 0, 6);
  expect(rig.module.held).toEqual({ blocks: 4, dropped: 2 });
  rig.plug();
  expect(await rig.until(() => rig.delivered.length === 4, 2_000)).toBe(true);
  expect(rig.names).toEqual(names(1, 4));
});

test("silence ends in hello again, and the line's end is shown", async () => {
  const rig = rigOf();
  rig.plug();
  expect(await rig.until(() => rig.host.status().line === "up", 1_000)).toBe(true);
  rig.hurt = () => [];
  expect(await rig.until(() => rig.host.status().line === "down" && !rig.module.connected, 6_000)).toBe(true);
  rig.hurt = (bytes) => [bytes];
  expect(await rig.until(() => rig.host.status().line === "up" && rig.module.connected, 4_000)).toBe(true);
});

test("frames of an earlier connection that come late do no harm", async () => {
  const rig = rigOf();
  const late: Buffer[] = [];
  rig.hurt = (bytes, towards) => {
    if (towards === "host" && rig.module.connected) late.push(bytes);
    return [bytes];
  };
  rig.plug();
  rig.make(1, 0, 3);
  expect(await rig.until(() => rig.module.held.blocks === 0, 2_000)).toBe(true);
  rig.unplug();
  rig.hurt = (bytes) => [bytes];
  rig.plug();
  for (const bytes of late) rig.host.received(bytes);
  expect(await rig.until(() => rig.host.status().line === "up", 2_000)).toBe(true);
  for (const bytes of late) rig.host.received(bytes);
  rig.make(1, 3, 3);
  expect(await rig.until(() => rig.delivered.length === 6, 8_000)).toBe(true);
  for (const bytes of late) rig.host.received(bytes);
  rig.make(1, 6, 3);
  expect(await rig.until(() => rig.delivered.length === 9, 8_000)).toBe(true);
  expect(rig.names).toEqual(names(1, 9));
  expect(rig.allRight).toBe(true);
});

test("a host that hears nothing goes on writing, so that a dead port is noticed", async () => {
  const rig = rigOf();
  rig.plug();
  expect(await rig.until(() => rig.host.status().line === "up", 1_000)).toBe(true);
  let written = 0;
  rig.hurt = (_bytes, towards) => {
    if (towards === "module") written++;
    return [];
  };
  await rig.until(() => false, 1_500);
  expect(rig.host.status().line).toBe("up");
  expect(written).toBeGreaterThan(2);
});

test("numbers that are spent make a new connection", async () => {
  const rig = rigOf({ module: { limits: { lastNumber: 20 } } });
  rig.plug();
  rig.make(1, 0, 40);
  expect(await rig.until(() => rig.delivered.length === 40 && rig.module.held.blocks === 0, 20_000)).toBe(true);
  expect(rig.names).toEqual(names(1, 40));
  expect(rig.moduleFaults).toContain("spent");
});

test("the module's words on itself are shown", async () => {
  const rig = rigOf();
  rig.module.report({ qber: 0.0213, keyRateBitsPerS: 150_000, alarms: ["detector-hot"] });
  rig.plug();
  expect(await rig.until(() => rig.host.status().qber !== undefined, 1_000)).toBe(true);
  const words = { line: "up", module: "Test Tx", role: "tx", run: 1, qber: 0.0213, keyRateBitsPerS: 150_000 };
  expect(rig.host.status()).toEqual({ ...words, alarms: ["detector-hot"] });
});

test.each([
  ["another link", { module: { link: linkId("cd") } }, "wrong-link"],
  ["another block size", { module: { blockBytes: 8_192 } }, "wrong-block-size"],
])("a module of %s delivers nothing, with an alarm", async (_what, options, alarm) => {
  const rig = rigOf(options);
  rig.plug();
  rig.make(1, 0, 3);
  await rig.until(() => false, 3_000);
  expect(rig.delivered).toEqual([]);
  expect(rig.host.status()).toEqual({ line: "down", alarms: [alarm] });
});

test("a cable that leads back to the host itself is an alarm", async () => {
  const rig = rigOf();
  rig.host.attach((bytes) => {
    rig.clock.after(1, () => rig.host.received(Buffer.from(bytes)));
    return true;
  });
  await rig.until(() => false, 1_000);
  expect(rig.host.status().alarms).toEqual(["no-module"]);
});

test("a module whose credit is spent gets more as soon as there is room", async () => {
  const rig = rigOf({ slots: 1 });
  rig.plug();
  rig.make(1, 0, 10);
  expect(await rig.until(() => rig.delivered.length === 10, 10 * LIMITS.restMs)).toBe(true);
  expect(rig.allRight).toBe(true);
});

/** Counts what the host sends from now on. */
function piecesToModule(rig: Rig): () => number {
  let pieces = 0;
  rig.hurt = (bytes, towards) => {
    if (towards === "module") pieces++;
    return [bytes];
  };
  return () => pieces;
}

test("where blocks follow one another, credit does not wait for company", async () => {
  const rig = rigOf();
  rig.plug();
  await rig.until(() => false, 1_000);
  const pieces = piecesToModule(rig);
  for (let sequence = 0; sequence < 20; sequence++) {
    rig.make(1, sequence, 1);
    await rig.until(() => false, 5);
  }
  expect(pieces()).toBeGreaterThan((2 * 20 * 5) / LIMITS.restMs);
  expect(await rig.until(() => rig.module.held.blocks === 0, 100)).toBe(true);
  expect(rig.allRight).toBe(true);
});

test("acknowledgement, receipt and credit of a lonely block go out together", async () => {
  const rig = rigOf();
  rig.plug();
  await rig.until(() => false, 1_000);
  const pieces = piecesToModule(rig);
  rig.take = (block) => void rig.clock.after(LIMITS.restMs / 2, () => rig.keep(block));
  rig.make(1, 0, 1);
  expect(await rig.until(() => rig.module.held.blocks === 0, 2 * LIMITS.restMs + 10)).toBe(true);
  expect(pieces()).toBe(1);
});

test.each([1_024, 3_000, 4_096, 16_384])("pieces may have any size up to 16,384 bytes: %i", async (pieceBytes) => {
  const rig = rigOf({ module: { pieceBytes } });
  rig.plug();
  rig.make(1, 0, 5);
  expect(await rig.until(() => rig.module.held.blocks === 0, 2_000)).toBe(true);
  expect(rig.allRight).toBe(true);
  for (const wrong of [0, 16_385]) expect(() => new Rig({ module: { pieceBytes: wrong } })).toThrow(RangeError);
});
