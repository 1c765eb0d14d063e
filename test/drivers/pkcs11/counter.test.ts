// Counters in a real token: private data objects that a stop in the middle cannot set back.

import type { Handle } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readCounter, writeCounter } from "../../../drivers/pkcs11/counter.ts";
import { findObjects, readAttribute } from "../../../drivers/pkcs11/objects.ts";
import type { LoggedIn } from "./module.ts";
import { logInToModule } from "./module.ts";

let module: LoggedIn;
beforeAll(async () => {
  module = await logInToModule();
});
afterAll(() => module.dispose());

const settled = async () => {};
const objects = (label: string): Handle[] =>
  findObjects(module.pkcs11, module.session, [{ type: pkcs11js.CKA_LABEL, value: label }]);

test("it is one private data object of the token", async () => {
  const { pkcs11, session } = module;
  await writeCounter(module.forge, "epochs", 1, settled);
  await writeCounter(module.forge, "epochs", 2, settled);
  const [object, ...others] = objects("epochs");
  expect(others).toEqual([]);
  const read = (type: number) => readAttribute(pkcs11, session, object ?? Buffer.alloc(8), type).toString("hex");
  expect([read(pkcs11js.CKA_TOKEN), read(pkcs11js.CKA_PRIVATE), read(pkcs11js.CKA_VALUE)]).toEqual([
    "01",
    "01",
    "0000000000000002",
  ]);
});

test("a stop between writing the new and destroying the old leaves the higher, which the next write clears up", async () => {
  await writeCounter(module.forge, "stopped", 8, settled);
  const stop = async () => {
    throw new Error("stopped");
  };
  await expect(writeCounter(module.forge, "stopped", 9, stop)).rejects.toThrow("stopped");
  expect(objects("stopped")).toHaveLength(2);
  expect(readCounter(module.forge, "stopped")).toBe(9);
  await writeCounter(module.forge, "stopped", 10, settled);
  expect(objects("stopped")).toHaveLength(1);
  expect(readCounter(module.forge, "stopped")).toBe(10);
});

test("a label that another begins with is another counter", async () => {
  await writeCounter(module.forge, "km", 4, settled);
  await writeCounter(module.forge, "km-2", 6, settled);
  expect(readCounter(module.forge, "km")).toBe(4);
});

test.each([-1, 0.5, 2 ** 53, Number.NaN])("%d is refused", async (value) => {
  await expect(writeCounter(module.forge, "bad", value, settled)).rejects.toBeInstanceOf(RangeError);
  expect(objects("bad")).toEqual([]);
});

test("a token that refuses data objects keeps it in the ID of a key that can do nothing", async () => {
  const refuse = () => {
    throw new Error("CKR_ATTRIBUTE_VALUE_INVALID:19");
  };
  const pkcs11 = new Proxy(module.pkcs11, {
    get: (target, name) => {
      const found: unknown = name === "C_CreateObject" ? refuse : Reflect.get(target, name);
      return typeof found === "function" ? found.bind(target) : found;
    },
  });
  const forge = { ...module.forge, pkcs11 };
  expect(readCounter(forge, "keyed")).toBe(0);
  for (const value of [3, Number.MAX_SAFE_INTEGER, 0]) {
    await writeCounter(forge, "keyed", value, settled);
    expect(readCounter(forge, "keyed")).toBe(value);
  }
  expect(objects("keyed")).toEqual([]);
  expect(objects("keyed-counter")).toHaveLength(1);
});
