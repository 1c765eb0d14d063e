// Tests of src/etsi014/handler.ts: what each request of clause 5 is answered.

import { describe, expect, it } from "vitest";
import { FAULTS, Fault, type FaultCode } from "../../src/core/fault.ts";
import { openService } from "./bench-service.ts";
import { fakeId, fakeKey } from "./fake-door.ts";

const container = (count: number, bytes: number) => ({
  keys: Array.from({ length: count }, (_, i) => ({ key_ID: fakeId(i), key: fakeKey(i, bytes).toString("base64") })),
});

describe("Get status", () => {
  it("5.1: has all fields of Table 8, and its integers agree", async () => {
    await using service = await openService();
    const reply = await service.ask("/app-b1/status");
    expect(reply.status).toBe(200);
    expect(reply.headers["content-type"]).toBe("application/json");
    expect(reply.json()).toEqual({
      source_KME_ID: "km-a",
      target_KME_ID: "km-b",
      master_SAE_ID: "app-a1",
      slave_SAE_ID: "app-b1",
      key_size: 256,
      stored_key_count: 17,
      max_key_count: 1000,
      max_key_per_request: 128,
      max_key_size: 32_704,
      min_key_size: 64,
      max_SAE_ID_count: 0,
    });
  });

  it("field: stays within int32 and never has more keys stored than it may have", async () => {
    await using service = await openService();
    service.door.stored = 5e12;
    service.door.maxStored = 3;
    const status = (await service.ask("/app-b1/status")).json();
    expect(status.stored_key_count).toBe(2 ** 31 - 1);
    expect(status.max_key_count).toBe(2 ** 31 - 1);
  });

  it("refuses an application that nobody knows with 400", async () => {
    await using service = await openService();
    const reply = await service.ask("/nobody/status");
    expect(reply.status).toBe(400);
    expect(reply.json()).toEqual({ message: FAULTS.UNKNOWN_APPLICATION.text });
  });
});

describe("Get key", () => {
  it("5.2: GET without parameters supplies one key of the default size", async () => {
    await using service = await openService();
    const reply = await service.ask("/app-b1/enc_keys");
    expect(reply.status).toBe(200);
    expect(reply.headers["content-type"]).toBe("application/json");
    expect(reply.headers["content-length"]).toBe(String(reply.text.length));
    expect(reply.json()).toEqual(container(1, 32));
    expect(service.door.asked[0]?.request).toEqual({
      door: "etsi014",
      app: "app-a1",
      destination: "app-b1",
      count: 1,
      sizeBits: 256,
    });
    expect(service.door.grants[0]?.disposed).toBe(1);
  });

  it("5.2: GET with number and size supplies exactly that", async () => {
    await using service = await openService();
    const reply = await service.ask("/app-b1/enc_keys?number=3&size=1024");
    expect(reply.json()).toEqual(container(3, 128));
  });

  it("5.2: POST supplies what its body asks, and an empty body or object asks for the defaults", async () => {
    await using service = await openService();
    expect((await service.post("/app-b1/enc_keys", { number: 2, size: 512 })).json()).toEqual(container(2, 64));
    expect((await service.post("/app-b1/enc_keys", {})).json()).toEqual(container(1, 32));
    expect((await service.ask("/app-b1/enc_keys", { method: "POST" })).json()).toEqual(container(1, 32));
  });

  it("field: tolerates a JSON body on GET and unknown members in a POST", async () => {
    await using service = await openService();
    const reply = await service.ask("/app-b1/enc_keys?size=128", {
      body: '{"number": 9}',
      headers: { "content-type": "application/json", "content-length": "13" },
    });
    expect(reply.json()).toEqual(container(1, 16));
    expect((await service.post("/app-b1/enc_keys", { number: 1, colour: "red", size: null })).status).toBe(200);
  });

  it("answers keys of every length with correctly padded base64 and exact Content-Length", async () => {
    await using service = await openService();
    for (const bytes of [8, 9, 10, 11, 4088]) {
      const reply = await service.ask(`/app-b1/enc_keys?number=2&size=${bytes * 8}`);
      expect(reply.headers["content-length"]).toBe(String(reply.text.length));
      expect(reply.json()).toEqual(container(2, bytes));
    }
  });

  it("sends an answer larger than its memory in pieces", async () => {
    await using service = await openService({ memoryBytes: 8192 });
    const reply = await service.ask("/app-b1/enc_keys?number=8&size=32704");
    expect(reply.json()).toEqual(container(8, 4088));
    expect(service.door.grants[0]).toMatchObject({ written: 8, disposed: 1 });
    expect(service.memory.every((byte) => byte === 0)).toBe(true);
  });

  it("6.2: ignores optional extensions", async () => {
    await using service = await openService();
    const reply = await service.post("/app-b1/enc_keys", { extension_optional: [{ abc_max_age: 30000 }] });
    expect(reply.json()).toEqual(container(1, 32));
  });

  it("6.2: asks for keys of a route and an age, mandatory or not", async () => {
    await using service = await openService();
    await service.post("/app-b1/enc_keys", {
      extension_mandatory: [{ qkm_route_type: "direct" }, { qkm_max_age: 30_000 }],
      extension_optional: [{ qkm_route_type: "multipath", abc_transfer_method: "qkd" }],
    });
    expect(service.door.asked[0]?.request).toMatchObject({
      only: { routeType: "direct", maxAgeMs: 30_000 },
      rather: { routeType: "multipath" },
    });
  });

  it.each([
    { extension_mandatory: [{ qkm_route_type: "indirect" }] },
    { extension_mandatory: [{ qkm_max_age: 0 }] },
    { extension_optional: [{ qkm_max_age: "30000" }] },
    { extension_mandatory: [{ qkm_max_age: 1 }, { qkm_max_age: 2 }] },
  ])("6.2: refuses an extension that it knows with a value that it does not: %j", async (body) => {
    await using service = await openService();
    const reply = await service.post("/app-b1/enc_keys", body);
    expect(reply.status).toBe(400);
    expect((reply.json() as { message: string }).message).toMatch(
      /qkm_route_type must be|qkm_max_age must be|more than once/,
    );
    expect(service.door.asked).toEqual([]);
  });

  it("6.2: refuses mandatory extensions with the standard's message and details", async () => {
    await using service = await openService();
    const body = { extension_mandatory: [{ abc_route_type: "direct" }, { abc_transfer_method: "qkd" }] };
    const reply = await service.post("/app-b1/enc_keys", body);
    expect(reply.status).toBe(400);
    expect(reply.json()).toEqual({
      message: "not all extension_mandatory parameters are supported",
      details: [
        { extension_mandatory_unsupported: "abc_route_type is not supported" },
        { extension_mandatory_unsupported: "abc_transfer_method is not supported" },
      ],
    });
    expect(service.door.asked).toEqual([]);
  });

  it("6.2: refuses a size that is no multiple of 8 with the standard's message", async () => {
    await using service = await openService();
    const reply = await service.ask("/app-b1/enc_keys?size=257");
    expect(reply.status).toBe(400);
    expect(reply.json()).toEqual({ message: "size shall be a multiple of 8" });
  });
});

describe("Get key with key IDs", () => {
  it("5.3: GET fetches one key of the master in the path", async () => {
    await using service = await openService();
    const reply = await service.ask(`/app-b1/dec_keys?key_ID=${fakeId(7)}`);
    expect(reply.json()).toEqual(container(1, 32));
    expect(service.door.asked[0]?.request).toEqual({
      door: "etsi014",
      app: "app-a1",
      initiator: "app-b1",
      keyIds: [fakeId(7)],
    });
  });

  it("5.3: POST fetches several in the order asked", async () => {
    await using service = await openService();
    const ids = [fakeId(3), fakeId(1)];
    const reply = await service.post("/app-b1/dec_keys", { key_IDs: ids.map((key_ID) => ({ key_ID })) });
    expect(reply.json()).toEqual(container(2, 32));
    expect(service.door.asked[0]?.request).toMatchObject({ keyIds: ids });
  });

  it("field: tolerates master_SAE_ID and extensions in the entries of key_IDs", async () => {
    await using service = await openService();
    const reply = await service.post("/app-b1/dec_keys", {
      key_IDs: [{ key_ID: fakeId(1), master_SAE_ID: "app-b1", key_ID_extension: { a: 1 } }],
      key_IDs_extension: {},
    });
    expect(reply.status).toBe(200);
  });

  it("passes IDs on as they came, for the key manager to judge their spelling", async () => {
    await using service = await openService();
    service.door.answers = new Fault("KEY_NOT_FOUND");
    const reply = await service.post("/app-b1/dec_keys", { key_IDs: [{ key_ID: "ABC" }] });
    expect(reply.status).toBe(400);
    expect(reply.json()).toEqual({ message: "one or more keys specified are not found on KME" });
    expect(service.door.asked[0]?.request).toMatchObject({ keyIds: ["ABC"] });
  });
});

describe("malformed requests", () => {
  const bad: readonly [title: string, path: string, body: unknown, message: RegExp][] = [
    ["number 0", "/app-b1/enc_keys?number=0", undefined, /number must be at least 1/],
    ["a negative number", "/app-b1/enc_keys?number=-1", undefined, /number must be a decimal integer/],
    ["number with an exponent", "/app-b1/enc_keys?number=1e3", undefined, /number must be a decimal integer/],
    ["number given twice", "/app-b1/enc_keys?number=1&number=2", undefined, /more than once/],
    ["an empty number", "/app-b1/enc_keys?number=", undefined, /number must be a decimal integer/],
    ["size 0", "/app-b1/enc_keys?size=0", undefined, /size is out of bounds/],
    ["size above max_key_size", "/app-b1/enc_keys?size=99999992", undefined, /size is out of bounds/],
    ["more keys than one request may have", "/app-b1/enc_keys?number=129", undefined, /more keys than/],
    ["an extension in a query", "/app-b1/enc_keys?extension_mandatory=x", undefined, /needs POST/],
    ["number 0 in a body", "/app-b1/enc_keys", { number: 0 }, /number must be at least 1/],
    ["a negative size in a body", "/app-b1/enc_keys", { size: -8 }, /size is out of bounds/],
    ["number as a string", "/app-b1/enc_keys", { number: "1" }, /number must be an integer/],
    ["a broken number", "/app-b1/enc_keys", { number: 1.5 }, /number must be an integer/],
    ["a broken number in the query of a POST", "/app-b1/enc_keys?number=x", {}, /must be a decimal integer/],
    ["a key ID in the query of a POST", "/app-b1/dec_keys?key_ID=x", {}, /belongs in the body/],
    ["an additional slave", "/app-b1/enc_keys", { additional_slave_SAE_IDs: ["x"] }, /max_SAE_ID_count is 0/],
    ["extensions that are no list", "/app-b1/enc_keys", { extension_mandatory: {} }, /must be an array/],
    ["extensions that are no objects", "/app-b1/enc_keys", { extension_mandatory: ["x"] }, /must hold objects/],
    ["an array as body", "/app-b1/enc_keys", [], /must be a JSON object/],
    ["itself as slave", "/app-a1/enc_keys", undefined, /with itself/],
    ["itself as master", "/app-a1/dec_keys", { key_IDs: [{ key_ID: fakeId(1) }] }, /with itself/],
    ["no key ID", "/app-b1/dec_keys", undefined, /key_ID is missing/],
    ["two key IDs with GET", "/app-b1/dec_keys?key_ID=a&key_ID=b", undefined, /several key IDs need POST/],
    ["no key_IDs", "/app-b1/dec_keys", {}, /at least one key/],
    ["an empty key_IDs", "/app-b1/dec_keys", { key_IDs: [] }, /at least one key/],
    ["key_IDs of strings", "/app-b1/dec_keys", { key_IDs: ["x"] }, /object with a string key_ID/],
    ["a key ID that is a number", "/app-b1/dec_keys", { key_IDs: [{ key_ID: 1 }] }, /object with a string key_ID/],
    ["a key ID twice", "/app-b1/dec_keys", { key_IDs: [{ key_ID: "x" }, { key_ID: "x" }] }, /names a key twice/],
    ["a space in the SAE ID", "/app%20b1/status", undefined, /must be 1 to 64 characters/],
    ["an SAE ID with a slash", "/app%2Fb1/status", undefined, /must be 1 to 64 characters/],
    ["an SAE ID that is not URL-encoded", "/app%zz/status", undefined, /not URL-encoded/],
    ["an empty SAE ID", "//status", undefined, /is blank/],
    ["a blank SAE ID", "/%20%20/enc_keys", undefined, /is blank/],
    ["no SAE ID", "/dec_keys", { key_IDs: [{ key_ID: fakeId(1) }] }, /is blank/],
  ];
  it.each(bad)("refuses %s with 400 and asks the key manager nothing", async (_, path, body, message) => {
    await using service = await openService();
    const reply = body === undefined ? await service.ask(path) : await service.post(path, body);
    expect(reply.status).toBe(400);
    expect(reply.json().message).toMatch(message);
    expect(service.door.asked).toEqual([]);
    expect(service.recorder.count("requests_refused", { door: "etsi014" })).toBe(1);
  });

  it("decodes the SAE ID of the path", async () => {
    await using service = await openService();
    expect((await service.ask("/app%2Db1/status")).json().slave_SAE_ID).toBe("app-b1");
  });

  it.each([
    ["broken JSON", "application/json", '{"number":', /not JSON/],
    ["JSON that nests too deep", "application/json", `${"[".repeat(60_000)}`, /not JSON/],
    ["a body that is not UTF-8", "application/json", Buffer.from([0x22, 0xff, 0x22]), /not JSON in UTF-8/],
    ["a form", "application/x-www-form-urlencoded", "number=1", /Content-Type must be/],
    ["a body that is too long", "application/json", `{"x":"${"y".repeat(70_000)}"}`, /longer than 65536 bytes/],
  ])("refuses %s with 400", async (_, type, body, message) => {
    await using service = await openService();
    const reply = await service.ask("/app-b1/enc_keys", { method: "POST", body, headers: { "content-type": type } });
    expect(reply.status).toBe(400);
    expect(reply.json().message).toMatch(message);
  });

  it.each(["application/json; charset=utf-8", "Application/JSON"])("takes Content-Type %s", async (type) => {
    await using service = await openService();
    const reply = await service.ask("/app-b1/enc_keys", {
      method: "POST",
      body: "{}",
      headers: { "content-type": type },
    });
    expect(reply.status).toBe(200);
  });

  it.each(["/app-b1", "/app-b1/", "/app-b1/keys", "/app-b1/status/", "/app-b1/toString", ""])(
    "answers 404 to the unknown path %s",
    async (path) => {
      await using service = await openService();
      const reply = await service.ask(path);
      expect(reply.status).toBe(404);
      expect(reply.json().message).toMatch(/no such resource/);
    },
  );

  it.each([
    ["PUT", "/app-b1/enc_keys", "GET, HEAD, POST"],
    ["DELETE", "/app-b1/dec_keys", "GET, HEAD, POST"],
    ["POST", "/app-b1/status", "GET, HEAD"],
  ])("answers 405 with Allow to %s %s", async (method, path, allow) => {
    await using service = await openService();
    const reply = await service.ask(path, { method });
    expect(reply.status).toBe(405);
    expect(reply.headers.allow).toBe(allow);
  });
});

it("field: number and size in the URL of a POST hold where the body has none", async () => {
  await using service = await openService();
  const bodies: readonly [object, object][] = [
    [{}, { count: 3, sizeBits: 512 }],
    [{ number: 2 }, { count: 2, sizeBits: 512 }],
    [
      { number: null, size: 128 },
      { count: 3, sizeBits: 128 },
    ],
  ];
  for (const [body] of bodies)
    expect((await service.post("/app-b1/enc_keys?number=3&size=512", body)).status).toBe(200);
  expect(service.door.asked.map(({ request }) => request)).toMatchObject(bodies.map(([, asked]) => asked));
});

describe("HEAD", () => {
  it("of a status has the header fields of GET, and no body", async () => {
    await using service = await openService();
    const [got, head] = [await service.ask("/app-b1/status"), await service.ask("/app-b1/status", { method: "HEAD" })];
    const { date: _, ...fields } = got.headers;
    expect(head.headers).toMatchObject(fields);
    expect([head.status, head.text]).toEqual([200, ""]);
  });

  it.each([
    ["/app-b1/enc_keys?number=2", 200],
    [`/app-b1/dec_keys?key_ID=${fakeId(1)}`, 200],
    ["/app-b1/enc_keys?number=0", 400],
    ["/app-b1/dec_keys", 400],
    ["/nobody/enc_keys", 400],
    ["/app-a1/enc_keys", 400],
  ])("of keys, %s, is checked as GET is and uses up no key", async (path, status) => {
    await using service = await openService();
    const reply = await service.ask(path, { method: "HEAD" });
    expect([reply.status, reply.text]).toEqual([status, ""]);
    expect(reply.headers["content-type"]).toBe("application/json");
    expect(reply.headers["transfer-encoding"]).toBeUndefined();
    expect(service.door.asked).toEqual([]);
  });

  it("leaves the connection fit for the next request", async () => {
    await using service = await openService();
    using client = await service.raw();
    const head = "HEAD /api/v1/keys/app-b1/enc_keys HTTP/1.1\r\nHost: a\r\n\r\n";
    client.socket.write(head + head.replace("HEAD", "GET"));
    const text = await client.received((got) => got.endsWith("]}"));
    expect(text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2);
    expect(service.door.asked).toHaveLength(1);
  });
});

it("6.5: a blank SAE ID is answered with details, an array of objects", async () => {
  await using service = await openService();
  expect((await service.ask("//enc_keys")).json().details).toEqual([{ parameter: "SAE_ID" }]);
});

describe("faults of the key manager", () => {
  it.each(Object.keys(FAULTS) as FaultCode[])("6.5: maps %s as the table says", async (code) => {
    await using service = await openService();
    service.door.answers = new Fault(code);
    const reply = await service.ask("/app-b1/enc_keys");
    expect(reply.status).toBe(FAULTS[code].http);
    const isOfKeys = code !== "NOT_AT_HOME" && code !== "CONNECTION_REFUSED";
    if (reply.status === 401 && isOfKeys) expect(reply.text).toBe("");
    else expect(reply.json()).toMatchObject({ message: new Fault(code).etsi014Message });
    expect(service.recorder.count("requests_refused", { door: "etsi014", fault: code })).toBe(1);
  });

  it("401 has no body and no content type", async () => {
    await using service = await openService();
    service.door.answers = new Fault("NOT_AUTHORIZED");
    const reply = await service.ask(`/app-b1/dec_keys?key_ID=${fakeId(1)}`);
    expect(reply.headers["content-length"]).toBe("0");
    expect(reply.headers["content-type"]).toBeUndefined();
  });

  it("503 says when to ask again, rounded up to seconds, and exactly in the details", async () => {
    await using service = await openService();
    service.door.answers = new Fault("INSUFFICIENT_KEYS", { retryAfterMs: 1200, details: [{ link: "ab" }] });
    const reply = await service.ask("/app-b1/enc_keys");
    expect(reply.headers["retry-after"]).toBe("2");
    expect(reply.json()).toEqual({
      message: FAULTS.INSUFFICIENT_KEYS.text,
      details: [{ link: "ab" }, { retry_after_ms: "1200" }],
    });
  });

  it("a defect becomes 503 with its cause in the log alone", async () => {
    await using service = await openService();
    service.door.status = () => {
      throw new TypeError("secret detail");
    };
    const reply = await service.ask("/app-b1/status");
    expect(reply.status).toBe(503);
    expect(reply.text).not.toContain("secret detail");
    expect(service.recorder.lines[0]).toMatchObject({ level: "error", fields: { err: { message: "secret detail" } } });
  });

  it("a grant that cannot be written is disposed and becomes 503", async () => {
    await using service = await openService();
    service.door.answers = "wait";
    const pending = service.ask("/app-b1/enc_keys");
    await service.door.askedFor(1);
    let disposed = 0;
    service.door.asked[0]?.answer.granted({
      count: 1,
      size: () => 32,
      writeId: () => {
        throw new Error("no ID");
      },
      writeKey: () => 0,
      [Symbol.dispose]: () => {
        disposed += 1;
      },
    });
    expect((await pending).status).toBe(503);
    expect(disposed).toBe(1);
    expect(service.memory.every((byte) => byte === 0)).toBe(true);
  });
});

describe("additional_slave_SAE_IDs", () => {
  const ask = async (additional: unknown, mostSlaves = 3) => {
    await using service = await openService({ mostSlaves });
    const body = JSON.stringify({ additional_slave_SAE_IDs: additional });
    const reply = await service.ask("/app-b1/enc_keys", { method: "POST", body });
    return {
      status: reply.status,
      message: reply.status === 200 ? "" : reply.json().message,
      asked: service.door.asked,
    };
  };

  it("are asked of the key manager with the rest, and the status says how many there may be", async () => {
    expect((await ask(["app-c1", "app-a2"])).asked[0]?.request).toMatchObject({
      destination: "app-b1",
      others: ["app-c1", "app-a2"],
    });
    await using service = await openService({ mostSlaves: 3 });
    expect((await service.ask("/app-b1/status")).json().max_SAE_ID_count).toBe(3);
  });

  it.each([
    ["none", [], /1 to 3/],
    ["too many", ["a", "b", "c", "d"], /1 to 3/],
    ["one twice", ["app-c1", "app-c1"], /twice/],
    ["a blank", [" "], /SAE IDs/],
    ["what is no string", [7], /SAE IDs/],
    ["the slave of the path", ["app-b1"], /slave of the path/],
    ["the master", ["app-a1"], /master/],
  ])("refuses %s with 400", async (_, additional, message) => {
    const { status, message: said, asked } = await ask(additional);
    expect([status, asked]).toEqual([400, []]);
    expect(said).toMatch(message);
  });
});
