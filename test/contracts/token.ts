// The contract of src/device/token.ts as tests, for every implementation.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { secretOf } from "../../src/core/memory/secret.ts";
import type { Kek, Token } from "../../src/device/token.ts";
import { SealBroken } from "../../src/device/token.ts";
import { drawBytes } from "../support/seed.ts";

/** Registers the tests; `wholeBlocks` for a token without AES-GCM. `open` opens the same token each time; labels that begin with `contract` are the tests'. */
export function exerciseToken(name: string, open: () => Promise<Token>, { wholeBlocks = false } = {}): void {
  /** Tokens without AES-GCM seal whole blocks of 16 bytes. */
  const jobOf = (bytes: number): Job => makeJob(wholeBlocks ? Math.ceil(bytes / 16) * 16 : bytes);
  describe(`${name} keeps the contract of a token`, () => {
    let token: Token;
    let kek: Kek;

    beforeAll(async () => {
      token = await open();
      kek = await token.generate("contract:kek");
    });
    afterAll(async () => {
      for (const one of await token.find("contract:")) await one.destroy();
      await (await token.macKey("contract:mac"))?.destroy();
      await token[Symbol.asyncDispose]();
    });

    test("it says who it is", () => {
      expect(token.info.label).not.toBe("");
      expect(["direct", "envelope"]).toContain(token.info.suggests);
    });

    test.each([1, 15, 16, 17, 31, 32, 33, 255, 4096, 32_767, 32_768])(
      "it opens what it sealed: %i bytes",
      async (size) => {
        const job = jobOf(size);
        const { length } = job.plain;
        await kek.seal(job);
        const plain = Buffer.alloc(length + 16, 0xee);
        await kek.open({ ...job, plain });
        expect(plain.subarray(0, length).equals(job.plain)).toBe(true);
        expect(plain.subarray(length)).toEqual(Buffer.alloc(16));
      },
    );

    test("it reads and writes within larger memory and leaves the rest alone", async () => {
      const memory = Buffer.alloc(400, 0xaa);
      const job = { ...jobOf(96), plain: memory.subarray(10, 106), sealed: memory.subarray(120, 232) };
      await kek.seal(job);
      await kek.open({ ...job, plain: memory.subarray(250, 366) });
      expect(memory.subarray(250, 346)).toEqual(Buffer.alloc(96, 0xaa));
      expect(memory.subarray(346, 362)).toEqual(Buffer.alloc(16));
      expect([memory.subarray(0, 120), memory.subarray(232, 250), memory.subarray(362)]).toEqual(
        [120, 18, 38].map((length) => Buffer.alloc(length, 0xaa)),
      );
    });

    const changes: Record<string, (job: Job) => Job> = {
      "the AAD": (job) => ({ ...job, aad: flipped(job.aad, 0) }),
      "a longer AAD": (job) => ({ ...job, aad: Buffer.concat([job.aad, Buffer.alloc(1)]) }),
      "the IV": (job) => ({ ...job, iv: flipped(job.iv, 11) }),
      "the first byte": (job) => ({ ...job, sealed: flipped(job.sealed, 0) }),
      "the tag": (job) => ({ ...job, sealed: flipped(job.sealed, job.sealed.length - 1) }),
      "a byte cut off": (job) => ({ ...job, sealed: job.sealed.subarray(0, -1) }),
      "all but the tag cut off": (job) => ({ ...job, sealed: job.sealed.subarray(-16) }),
      "a byte added": (job) => ({ ...job, sealed: Buffer.concat([job.sealed, Buffer.alloc(1)]) }),
    };

    test.each(Object.keys(changes))(
      "it refuses a changed record (%s), gives no byte of it and works on",
      async (what) => {
        const job = jobOf(1000);
        await kek.seal(job);
        const changed = changes[what]?.(job) ?? job;
        const plain = Buffer.alloc(1100);
        await expect(kek.open({ ...changed, plain })).rejects.toBeInstanceOf(SealBroken);
        expect(plain).toEqual(Buffer.alloc(1100));
        await kek.open({ ...job, plain });
        expect(plain.subarray(0, job.plain.length).equals(job.plain)).toBe(true);
      },
    );

    test("it refuses a record that was sealed under another KEK", async () => {
      const other = await token.generate("contract:other");
      const job = jobOf(64);
      await kek.seal(job);
      await expect(other.open({ ...job, plain: Buffer.alloc(80) })).rejects.toBeInstanceOf(SealBroken);
      await other.destroy();
    });

    test.each([
      ["an IV of 11 bytes", { iv: Buffer.alloc(11) }],
      ["no AAD", { aad: Buffer.alloc(0) }],
      ["nothing to seal", { plain: Buffer.alloc(0), sealed: Buffer.alloc(16) }],
      ["too little room for the tag", { sealed: Buffer.alloc(79) }],
      ["too much room", { sealed: Buffer.alloc(81) }],
    ])("it seals nothing and works on when it is given %s", async (_what, wrong) => {
      await expect(kek.seal({ ...jobOf(64), ...wrong })).rejects.toBeInstanceOf(RangeError);
      await kek.seal(jobOf(64));
    });

    test("it opens nothing and works on when there is no room for the tag", async () => {
      const job = jobOf(64);
      await kek.seal(job);
      await expect(kek.open({ ...job, plain: Buffer.alloc(79) })).rejects.toBeInstanceOf(RangeError);
      await kek.open({ ...job, plain: Buffer.alloc(80) });
    });

    test("it seals and opens many at once without mixing them up", async () => {
      const jobs = Array.from({ length: 64 }, (_, index) => jobOf(200 + index * 500));
      await Promise.all(jobs.map((job) => kek.seal(job)));
      const opened = await Promise.all(
        jobs.map(async (job) => {
          const plain = Buffer.alloc(job.sealed.length);
          await kek.open({ ...job, plain });
          return plain.subarray(0, -16).equals(job.plain);
        }),
      );
      expect(opened).toEqual(jobs.map(() => true));
    });

    test("broken records among many do not disturb the others", async () => {
      const jobs = await Promise.all(
        Array.from({ length: 32 }, async (_, index) => {
          const job = jobOf(500);
          await kek.seal(job);
          return index % 2 === 0 ? job : { ...job, sealed: flipped(job.sealed, 0) };
        }),
      );
      const outcomes = await Promise.allSettled(jobs.map((job) => kek.open({ ...job, plain: Buffer.alloc(528) })));
      expect(outcomes.map(({ status }) => status)).toEqual(
        jobs.map((_, index) => (index % 2 === 0 ? "fulfilled" : "rejected")),
      );
    });

    test("it finds KEKs by the beginning of their labels, in the order of the labels", async () => {
      for (const label of ["contract:e:2", "contract:e:10", "contract:e:1", "contract:f"]) await token.generate(label);
      const labels = async (prefix: string) => (await token.find(prefix)).map((one) => one.label);
      expect(await labels("contract:e:")).toEqual(["contract:e:1", "contract:e:10", "contract:e:2"]);
      expect(await labels("contract:none")).toEqual([]);
      expect(await labels("contract:")).toContain("contract:f");
    });

    test("it does not make a second KEK of one label", async () => {
      await expect(token.generate("contract:kek")).rejects.toThrow("contract:kek");
      expect(await token.find("contract:kek")).toHaveLength(1);
    });

    test("a KEK that is destroyed is found no more, opens nothing, and may be destroyed again", async () => {
      const invalidated = await token.generate("contract:invalidated");
      const job = jobOf(64);
      await invalidated.seal(job);
      const [found] = await token.find("contract:invalidated");
      await invalidated.destroy();
      await invalidated.destroy();
      expect(await token.find("contract:invalidated")).toEqual([]);
      const plain = Buffer.alloc(80);
      await expect(invalidated.open({ ...job, plain })).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
      await expect(found?.open({ ...job, plain })).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
      await expect(invalidated.seal(job)).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
      await token.check();
    });

    test("RFC 2104: a MAC is the same for the same message and key, another for others, and 32 bytes long", async () => {
      expect(await token.macKey("contract:mac")).toBeUndefined();
      const key = await token.macKey("contract:mac", true);
      const other = await token.macKey("contract:other-mac", true);
      const message = drawBytes(200);
      const mac = await key.mac(message);
      expect(mac).toHaveLength(32);
      expect(await (await token.macKey("contract:mac"))?.mac(message)).toEqual(mac);
      expect(await (await token.macKey("contract:mac", true)).mac(message)).toEqual(mac);
      expect(await other.mac(message)).not.toEqual(mac);
      expect(await key.mac(flipped(message, 100))).not.toEqual(mac);
      await other.destroy();
    });

    test("it makes many MACs at once without mixing them up, beside seals", async () => {
      const key = await token.macKey("contract:mac", true);
      const messages = Array.from({ length: 32 }, (_, index) => drawBytes(1 + index * 100));
      const [macs] = await Promise.all([
        Promise.all(messages.map((message) => key.mac(message))),
        Promise.all(messages.map(() => kek.seal(jobOf(3000)))),
      ]);
      for (const [index, message] of messages.entries()) expect(await key.mac(message)).toEqual(macs[index]);
      expect(new Set(macs.map((mac) => Buffer.from(mac).toString("hex"))).size).toBe(32);
    });

    test("it refuses an empty message, and a MAC key that is destroyed", async () => {
      const key = await token.macKey("contract:doomed-mac", true);
      await expect(key.mac(new Uint8Array(0))).rejects.toBeInstanceOf(RangeError);
      await key.destroy();
      await expect(key.mac(Buffer.from("late"))).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
      expect(await token.macKey("contract:doomed-mac")).toBeUndefined();
    });

    test("a counter is 0 at first, takes what it is given, and is apart from other counters", async () => {
      expect(await token.counter("contract:unknown")).toBe(0);
      expect(await token.counter("contract:a", 7)).toBe(7);
      expect(await token.counter("contract:b", Number.MAX_SAFE_INTEGER)).toBe(Number.MAX_SAFE_INTEGER);
      expect(await token.counter("contract:a")).toBe(7);
      expect(await token.counter("contract:a", 8)).toBe(8);
      expect(await token.counter("contract:a", 0)).toBe(0);
      expect(await token.counter("contract:b", 0)).toBe(0);
    });

    test("it fills a secret with bytes that differ each time", async () => {
      const draw = async (length: number) => {
        using secret = secretOf(Buffer.alloc(length));
        await token.random(secret);
        return secret.lend((bytes) => Buffer.from(bytes));
      };
      const [a, b] = [await draw(32_768), await draw(32_768)];
      expect(a.equals(b)).toBe(false);
      // Every stretch was filled: a stretch of 64 zero bytes does not happen by chance.
      for (let at = 0; at < a.length; at += 64) expect(a.subarray(at, at + 64).equals(Buffer.alloc(64))).toBe(false);
      expect((await draw(33)).length).toBe(33);
    });

    test("KEKs and counters survive its closing, and a closed token refuses everything", async () => {
      const job = jobOf(2000);
      await kek.seal(job);
      await token.counter("contract:kept", 41);
      const before = { token, kek };
      await before.token[Symbol.asyncDispose]();
      await before.token[Symbol.asyncDispose]();

      const refused = { code: "HSM_UNAVAILABLE" };
      await expect(before.kek.seal(job)).rejects.toMatchObject(refused);
      await expect(before.kek.open({ ...job, plain: Buffer.alloc(2016) })).rejects.toMatchObject(refused);
      await expect(before.kek.destroy()).rejects.toMatchObject(refused);
      await expect(before.token.check()).rejects.toMatchObject(refused);
      await expect(before.token.find("")).rejects.toMatchObject(refused);
      await expect(before.token.generate("contract:late")).rejects.toMatchObject(refused);
      await expect(before.token.counter("contract:kept")).rejects.toMatchObject(refused);
      await expect(before.token.macKey("contract:mac", true)).rejects.toMatchObject(refused);
      await expect(before.token.random(secretOf(Buffer.alloc(8)))).rejects.toMatchObject(refused);

      token = await open();
      const [found] = await token.find("contract:kek");
      if (found === undefined) throw new Error("the KEK did not survive");
      kek = found;
      const plain = Buffer.alloc(2016);
      await kek.open({ ...job, plain });
      expect(plain.subarray(0, 2000).equals(job.plain)).toBe(true);
      expect(await token.counter("contract:kept")).toBe(41);
      await token.counter("contract:kept", 0);
    });

    test("closing it waits for what is under way", async () => {
      const passing = await open();
      const [found] = await passing.find("contract:kek");
      const job = jobOf(32_768);
      const sealing = found?.seal(job);
      await passing[Symbol.asyncDispose]();
      await Promise.allSettled([sealing]);
      await token.check();
    });
  });
}

/** What one seal needs; the KEK's `open` takes it with another `plain`. */
export interface Job {
  iv: Buffer;
  aad: Buffer;
  plain: Buffer;
  sealed: Buffer;
}

export const jobOf = (size: number): Job => makeJob(size);

const makeJob = (size: number): Job => ({
  iv: drawBytes(12),
  aad: Buffer.from("format, KM, kind, record, epoch"),
  plain: drawBytes(size),
  sealed: Buffer.alloc(size + 16),
});

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}
