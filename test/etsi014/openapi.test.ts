// Tests of docs/openapi-etsi014.json: it is a description of OpenAPI 3.1, of what this door has, and tells right from wrong.

import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, it } from "vitest";
import { checkExchange, OPENAPI } from "../system/support/openapi.ts";
import { openService } from "./bench-service.ts";
import { fakeId } from "./fake-door.ts";

it("is valid OpenAPI 3.1", async () => {
  const validator = new Validator();
  expect(await validator.validate(structuredClone(OPENAPI))).toMatchObject({ valid: true });
  expect(validator.version).toBe("3.1");
});

const BODY = { method: "POST", headers: { "content-type": "application/json" } } as const;

describe("the door's answers are as it says", () => {
  it.each([
    ["/app-b1/status", {}, 200],
    ["/nobody/status", {}, 400],
    ["/app-b1/enc_keys?number=2&size=64", {}, 200],
    ["/app-b1/enc_keys?number=0", {}, 400],
    ["/app-b1/enc_keys", { ...BODY, body: '{"number":null,"extension_optional":[{"other":1}]}' }, 200],
    ["/app-b1/enc_keys", { ...BODY, body: '{"additional_slave_SAE_IDs":["app-c1"]}' }, 200],
    ["/app-b1/enc_keys", { ...BODY, body: '{"extension_mandatory":[{"abc_route_type":"direct"}]}' }, 400],
    [`/app-b1/dec_keys?key_ID=${fakeId(1)}`, {}, 200],
    ["/app-b1/dec_keys", { ...BODY, body: `{"key_IDs":[{"key_ID":"${fakeId(1)}"}]}` }, 200],
    ["/app-b1/dec_keys", { ...BODY, body: '{"key_IDs":[]}' }, 400],
  ] as const)("%s %o", async (path, options, status) => {
    await using service = await openService({ mostSlaves: 2 });
    const reply = await service.ask(path, options);
    expect(reply.status).toBe(status);
    const [method, body] = "body" in options ? [options.method, options.body] : ["GET", undefined];
    checkExchange({ method, path: path.slice(1), body, status, answer: reply.text });
  });
});

describe("what is otherwise is found", () => {
  const key = { key_ID: fakeId(1), key: "AAAA" };
  const exchange = (answer: object, status = 200) =>
    checkExchange({ method: "GET", path: "app-b1/enc_keys", body: undefined, status, answer: JSON.stringify(answer) });

  it.each([
    ["a member that is not described", { keys: [{ ...key, extra: 1 }] }, 200],
    ["no keys", { keys: [] }, 200],
    ["a key that is no base64", { keys: [{ ...key, key: "A-A" }] }, 200],
    ["an error without a message", { details: [] }, 400],
    ["details that are no list", { message: "x", details: {} }, 503],
    ["a status that is not described", {}, 418],
  ])("%s", (_, answer, status) => {
    expect(() => exchange(answer, status)).toThrow("openapi-etsi014.json");
  });

  it("and what is right is not", () => exchange({ keys: [key] }));
});
