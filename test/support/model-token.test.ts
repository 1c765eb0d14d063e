// The model token keeps the contract, and does what tests tell it.

import { expect, test } from "vitest";
import { secretOf } from "../../src/core/memory/secret.ts";
import { exerciseToken, jobOf } from "../contracts/token.ts";
import { makeModelToken } from "./model-token.ts";

const model = makeModelToken();
exerciseToken("the model token", model.open);

test("a model that vanishes kills its tokens for good, and a new one finds what was kept", async () => {
  const hardware = makeModelToken();
  const token = await hardware.open();
  const kek = await token.generate("kek");
  await token.counter("c", 5);
  hardware.vanish();
  for (const call of [() => token.check(), () => kek.seal(jobOf(8)), () => hardware.open()]) {
    await expect(call()).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
  }
  hardware.restore();
  await expect(token.check()).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
  const back = await hardware.open();
  expect((await back.find("")).map(({ label }) => label)).toEqual(["kek"]);
  expect(await back.counter("c")).toBe(5);
});

test("a model that is slow answers when its pace allows, and fails calls that it vanishes under", async () => {
  const hardware = makeModelToken();
  const kek = await (await hardware.open()).generate("kek");
  const pace = Promise.withResolvers<void>();
  hardware.slow(() => pace.promise);
  const sealing = kek.seal(jobOf(8));
  hardware.vanish();
  pace.resolve();
  await expect(sealing).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
});

test("a model refuses the PIN when told so, counts the tries, and suggests what it is told", async () => {
  const hardware = makeModelToken({ suggests: "envelope" });
  hardware.refusePin(true);
  await expect(hardware.open()).rejects.toMatchObject({ code: "WRONG_PIN" });
  hardware.refusePin(false);
  expect((await hardware.open()).info.suggests).toBe("envelope");
  expect(hardware.logins).toBe(2);
});

test("models of the same randomness are the same", async () => {
  const runs = await Promise.all(
    [0, 1].map(async () => {
      const hardware = makeModelToken({ random: (bytes) => void bytes.set(bytes.map((_, at) => at & 0xff)) });
      const token = await hardware.open();
      const kek = await token.generate("kek");
      const job = { ...jobOf(4), iv: Buffer.alloc(12), plain: Buffer.alloc(4) };
      await kek.seal(job);
      const secret = secretOf(Buffer.alloc(4));
      await token.random(secret);
      return [job.sealed.toString("hex"), secret.lend((bytes) => Buffer.from(bytes).toString("hex"))];
    }),
  );
  expect(runs[0]).toEqual(runs[1]);
});
