// Tests of src/etsi020: the border over real TLS, in both directions, with a key manager of another make; bodies against schemas.

import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, it, test } from "vitest";
import { Fault, type FaultCode } from "../../src/core/fault.ts";
import { type AppId, kmId } from "../../src/core/ids.ts";
import type { BorderAck, BorderLine } from "../../src/keys/ports/borders.ts";
import { until } from "../support/until.ts";
import { transferOf } from "./foreign-kme.ts";
import { departureOf, type OpenBorder, openBorder, type Papers, papers } from "./kit.ts";
import { complaintsOf } from "./schemas.ts";

let net: Papers;
beforeAll(async () => {
  net = await papers();
});

const [ID1, ID2] = [randomUUID(), randomUUID()];
const SAES = { initiator_sae_id: "app-x1", target_sae_ids: ["app-a1"] };
const PATH = { initiator: "app-x1" as AppId, target: "app-a1" as AppId };
const KEY = { key_id: ID1, value: Buffer.alloc(32, 7).toString("base64") };
const CALLBACK = "https://kme-x.example:8020/acks";
const EXT_KEYS = "/kmapi/v1/ext_keys";
const NEVER = new AbortController().signal;

const isZero = ({ memory }: OpenBorder): boolean => memory.every((byte) => byte === 0);
const ack = (outcome: BorderAck["outcome"], ...keyIds: readonly string[]): BorderAck => ({
  ...{ ...PATH, outcome, keyIds },
  message: "",
});

describe("020: what another key manager asks", () => {
  it("GET versions tells version and capability", async () => {
    await using border = await openBorder(net);
    const { status, text, headers } = await border.other.ask("GET", `${border.url}/kmapi/versions`);
    expect([status, JSON.parse(text)]).toEqual([200, { versions: ["v1"], capabilities: ["synchronous_mode"] }]);
    expect(complaintsOf("versions", JSON.parse(text))).toEqual([]);
    expect(headers["content-type"]).toBe("application/json; charset=UTF-8");
  });

  it("POST ext_keys gives keys, 202 without a body, and leaves nothing in memory", async () => {
    await using border = await openBorder(net);
    const transfer = transferOf("app-x1", "app-a1", 100, CALLBACK);
    const optional = { ...transfer, extension_optional: { E32473_hint: { a: [1] } }, extension_mandatory: {} };
    const { status, text } = await border.other.post(border.url + EXT_KEYS, optional);
    expect([status, text]).toEqual([202, ""]);
    expect(border.borders.noted).toEqual([
      {
        border: "kme-x",
        request: { ...PATH, callback: CALLBACK },
        keys: transfer.keys.map(({ key_id, value }) => [key_id, value]),
      },
    ]);
    await until("the memory is zero", () => isZero(border));
  });

  it("in the synchronous mode is answered with acknowledgements", async () => {
    await using border = await openBorder(net);
    border.borders.acks = [ack("relayed", ID1), { ...ack("failed", ID2), message: "why" }];
    const { status, text } = await border.other.post(border.url + EXT_KEYS, { keys: [KEY], ...SAES });
    expect(complaintsOf("ack_containers", JSON.parse(text))).toEqual([]);
    expect([status, JSON.parse(text)]).toEqual([
      200,
      [
        { key_id_container: [{ key_id: ID1 }], ack_status: "relayed", ...SAES },
        { key_id_container: [{ key_id: ID2 }], ack_status: "failed", ...SAES, message: "why" },
      ],
    ]);
  });

  it("POST void and POST ack are read", async () => {
    await using border = await openBorder(net);
    const many = { key_ids: [ID1, ID2, ID1], ...SAES, ack_callback_url: CALLBACK };
    const all = { key_ids: [], ...SAES, all_confirmation: true };
    const acks = [{ key_id_container: [{ key_id: ID1 }], ack_status: "relayed", ...SAES, message: "well" }];
    expect((await border.other.post(`${border.url}${EXT_KEYS}/void`, many)).status).toBe(202);
    expect((await border.other.post(`${border.url}${EXT_KEYS}/void`, all)).status).toBe(200);
    const { status, text } = await border.other.post(`${border.url}${EXT_KEYS}/ack`, acks);
    expect([status, text]).toEqual([200, ""]);
    expect(border.borders.noted.map(({ request }) => request)).toEqual([
      { ...PATH, keyIds: [ID1, ID2], callback: CALLBACK },
      { ...PATH, keyIds: [], callback: undefined },
      [{ ...ack("relayed", ID1), message: "well" }],
    ]);
  });
});

describe("020: refusals", () => {
  const transfer = { keys: [KEY], ...SAES, ack_callback_url: CALLBACK };
  const without = (name: keyof typeof transfer) => ({ ...transfer, [name]: undefined });

  test.each([
    ["no keys", without("keys"), 400, "missing-parameters"],
    ["an empty list of keys", { ...transfer, keys: [] }, 400, "missing-parameters"],
    ["no initiator", without("initiator_sae_id"), 400, "missing-parameters"],
    ["no target", { ...transfer, target_sae_ids: [] }, 400, "missing-parameters"],
    ["a key without an ID", { ...transfer, keys: [{ value: KEY.value }] }, 400, "missing-parameters"],
    ["a key without a value", { ...transfer, keys: [{ key_id: ID1 }] }, 400, "missing-parameters"],
    ["a value that is no text", { ...transfer, keys: [{ key_id: ID1, value: 7 }] }, 400, "invalid-parameter"],
    ["an ID that is no UUID", { ...transfer, keys: [{ ...KEY, key_id: "7" }] }, 400, "invalid-parameter"],
    ["an initiator that is too long", { ...transfer, initiator_sae_id: "a".repeat(65) }, 400, "invalid-parameter"],
    ["the initiator as target", { ...transfer, target_sae_ids: ["app-x1"] }, 400, "invalid-parameter"],
    ["a callback that is no https", { ...transfer, ack_callback_url: "http://x/" }, 400, "invalid-parameter"],
    ["a callback with a user", { ...transfer, ack_callback_url: "https://a:b@x/" }, 400, "invalid-parameter"],
    [
      "a callback of 1,025 characters",
      { ...transfer, ack_callback_url: `https://x/${"a".repeat(1015)}` },
      400,
      "invalid-parameter",
    ],
    ["extensions that are a list", { ...transfer, extension_mandatory: [] }, 400, "invalid-parameter"],
    [
      "an unknown mandatory extension",
      { ...transfer, extension_mandatory: { E1_x: 1 } },
      503,
      "server-side-general-error",
    ],
    ["several targets", { ...transfer, target_sae_ids: ["app-a1", "app-a2"] }, 503, "key-routing-error"],
    ["1,025 keys", { ...transfer, keys: Array.from({ length: 1025 }, () => ({})) }, 400, "invalid-parameter"],
    ["a list", [transfer], 400, "invalid-parameter"],
  ])("a transfer with %s", async (_, body, status, type) => {
    await using border = await openBorder(net);
    const reply = await border.other.post(border.url + EXT_KEYS, body);
    expect([reply.status, JSON.parse(reply.text).type]).toEqual([
      status,
      `https://qkd.etsi.org/gs020-interop-kms/${type}`,
    ]);
    expect([border.borders.noted, border.other.complaints]).toEqual([[], []]);
    await until("the memory is zero", () => isZero(border));
  });

  test.each([
    ["ext_keys", "{", "invalid-parameter"],
    ["ext_keys", '{"keys":[{"value":"AAAA","value":"BBBB"}]}', "invalid-parameter"],
    ["ext_keys", `{"keys":"${"A".repeat(70_000)}"}`, "invalid-parameter"],
    ["ext_keys/void", "7", "void-request-not-understood"],
    ["ext_keys/void", '{"key_ids":[]}', "void-request-not-understood"],
    ["ext_keys/void", '{"key_ids":[7],"initiator_sae_id":"a","target_sae_ids":["b"]}', "void-request-not-understood"],
    ["ext_keys/void", '{"key_ids":[],"initiator_sae_id":"a","target_sae_ids":["b"]}', "no-key-ids-or-confirmation"],
    ["ext_keys/ack", "[7]", "ack-not-understood"],
    ["ext_keys/ack", '[{"ack_status":"well"}]', "ack-not-understood"],
  ])("POST %s with %.40s is %s", async (path, body, type) => {
    await using border = await openBorder(net);
    const reply = await border.other.ask("POST", `${border.url}/kmapi/v1/${path}`, body);
    const problem = JSON.parse(reply.text);
    expect([reply.status, problem.type]).toEqual([400, `https://qkd.etsi.org/gs020-interop-kms/${type}`]);
    expect(complaintsOf("problem", problem)).toEqual([]);
    await until("the memory is zero", () => isZero(border));
  });

  test.each([
    ["UNKNOWN_APPLICATION", 400, "key-routing-error", "target_sae_id_not_recognized"],
    ["NOT_ON_ROUTE", 400, "key-routing-error", "invalid_routing"],
    ["NO_ROUTE", 503, "key-routing-error", "no_known_route"],
    ["NOT_AUTHORIZED", 401, "unauthorized", "reason"],
    ["STORE_FULL", 503, "server-side-general-error", "reason"],
    ["HSM_UNAVAILABLE", 503, "server-side-general-error", "reason"],
    ["INTERNAL", 503, "server-side-general-error", "reason"],
  ] as const)("%s of the key manager is %i, %s", async (code: FaultCode, status, type, detail) => {
    await using border = await openBorder(net);
    border.borders.fault = new Fault(code);
    const reply = await border.other.post(border.url + EXT_KEYS, transfer);
    const problem = JSON.parse(reply.text);
    expect([reply.status, problem.type.split("/").at(-1), Object.keys(problem.details)]).toEqual([
      status,
      type,
      [detail],
    ]);
  });

  it("an acknowledgement of an unknown key is told so", async () => {
    await using border = await openBorder(net);
    border.borders.fault = new Fault("KEY_NOT_FOUND");
    const acks = [{ key_id_container: [{ key_id: ID1 }], ack_status: "relayed", ...SAES }];
    const reply = await border.other.post(`${border.url}${EXT_KEYS}/ack`, acks);
    expect([reply.status, JSON.parse(reply.text).type.split("/").at(-1)]).toEqual([400, "key-not-present"]);
  });

  test.each([
    ["GET", EXT_KEYS, 405],
    ["POST", "/kmapi/versions", 405],
    ["GET", "/kmapi/v2/ext_keys", 404],
    ["GET", "/constructor", 404],
  ])("%s %s is %i", async (method, path, status) => {
    await using border = await openBorder(net);
    const reply = await border.other.ask(method, border.url + path);
    expect([reply.status, complaintsOf("problem", JSON.parse(reply.text))]).toEqual([status, []]);
  });

  it("a key manager that is no border, or has no certificate, is not let in", async () => {
    await using border = await openBorder(net);
    const url = `${border.url}/kmapi/versions`;
    const { certificate: cert, key } = net.stranger;
    await expect(border.other.ask("GET", url, undefined, { cert, key })).rejects.toThrow();
    await expect(border.other.ask("GET", url, undefined, { cert: undefined, key: undefined })).rejects.toThrow();
  });
});

const lineOf = ({ server }: OpenBorder): BorderLine => {
  const [line] = server.lines.values();
  if (line === undefined) throw new Error("no line");
  return line;
};

describe("020: what we ask another key manager", () => {
  it("a transfer is sent in one body, and nothing of it stays in memory", async () => {
    await using border = await openBorder(net);
    border.other.outcome = undefined;
    expect(await lineOf(border).send(departureOf([ID1, ID2]), NEVER)).toEqual({ kind: "accepted" });
    expect(border.other.to(EXT_KEYS).map(({ body }) => body)).toEqual([
      {
        keys: [ID1, ID2].map((key_id, index) => ({ key_id, value: Buffer.alloc(32, index + 1).toString("base64") })),
        ...{ initiator_sae_id: "app-a1", target_sae_ids: ["app-x1"] },
        ack_callback_url: `${border.url}/kmapi/v1/ext_keys/ack`,
      },
    ]);
    expect([isZero(border), border.other.complaints]).toEqual([true, []]);
  });

  it.each([false, true])("in the synchronous mode the answer tells the outcome (chunked: %s)", async (isChunked) => {
    await using border = await openBorder(net, true);
    border.other.isChunked = isChunked;
    const relayed = { ...ack("relayed", ID1), initiator: "app-a1", target: "app-x1" };
    expect(await lineOf(border).send(departureOf([ID1]), NEVER)).toEqual({ kind: "done", acks: [relayed] });
    const path = { initiator: relayed.initiator as AppId, target: relayed.target as AppId };
    const voided = await lineOf(border).sendVoid({ ...path, keyIds: [ID1] });
    expect(voided).toEqual({ kind: "done", acks: [{ ...relayed, outcome: "voided" }] });
    expect(border.other.complaints).toEqual([]);
  });

  it("acknowledgements go to the callback, query and all, over one connection", async () => {
    await using border = await openBorder(net);
    const acks = [ack("relayed", ID1), { ...ack("failed", ID2), message: "old" }];
    for (let time = 0; time < 3; time++) {
      expect(await lineOf(border).sendAcks(border.other.callback, acks)).toEqual({ kind: "accepted" });
    }
    expect(border.other.acks).toHaveLength(6);
    expect(border.other.complaints).toEqual([]);
    expect(border.told.count("connections_opened", { door: "etsi020" })).toBe(1);
  });

  test.each([
    [400, "refused"],
    [401, "refused"],
    [408, "unknown"],
    [503, "unknown"],
    ["done, no answer", "unknown"],
    ["cut off", "unknown"],
  ] as const)("%s means that keys are %s", async (wrong, kind) => {
    await using border = await openBorder(net);
    border.other.wrongs = [wrong];
    expect(await lineOf(border).send(departureOf([ID1]), NEVER)).toMatchObject({ kind });
    expect(isZero(border)).toBe(true);
    expect(await lineOf(border).send(departureOf([ID1]), NEVER)).toEqual({ kind: "accepted" });
  });

  it("nobody there, or somebody else, means that nothing was sent", async () => {
    await using border = await openBorder(net);
    const { port } = border.other;
    await border.other.close();
    expect(await lineOf(border).send(departureOf([ID1]), NEVER)).toMatchObject({ kind: "unsent" });
    const { ForeignKme } = await import("./foreign-kme.ts");
    const options = { own: net.stranger, ca: net.ours.pem, peer: "urn:qkm:km:km-a" };
    await using stranger = await ForeignKme.listening(options, port);
    expect(await lineOf(border).send(departureOf([ID1]), NEVER)).toMatchObject({ kind: "unsent" });
    expect(stranger.received).toEqual([]);
    expect(border.told.count("connections_refused", { door: "etsi020" })).toBe(1);
  });

  it("no answer in time means that nobody knows", async () => {
    await using border = await openBorder(net);
    border.other.always = "silence";
    const sent = lineOf(border).sendAcks(border.other.callback, [ack("relayed", ID1)]);
    await until("it was asked", () => border.other.received.length === 1);
    border.clock.advance(10_000);
    expect(await sent).toMatchObject({ kind: "unknown" });
    expect(border.clock.waiting).toBe(0);
  });

  it("a connection that is not used is closed", async () => {
    await using border = await openBorder(net);
    await lineOf(border).sendAcks(border.other.callback, [ack("relayed", ID1)]);
    expect(border.clock.waiting).toBe(1);
    border.clock.advance(10_000);
    await lineOf(border).sendAcks(border.other.callback, [ack("relayed", ID1)]);
    expect(border.told.count("connections_opened", { door: "etsi020" })).toBe(2);
  });

  it("many at a time take turns on few connections", async () => {
    await using border = await openBorder(net);
    const line = lineOf(border);
    const sent = await Promise.all(Array.from({ length: 40 }, () => line.send(departureOf([randomUUID()]), NEVER)));
    expect(new Set(sent.map(({ kind }) => kind))).toEqual(new Set(["accepted"]));
    expect(border.told.count("connections_opened", { door: "etsi020", group: "X25519MLKEM768" })).toBeLessThanOrEqual(
      44,
    );
    expect(border.other.keys.size).toBe(40);
  });
});

describe("other borders, while the door is open", () => {
  it("one that is none any more is cut off and refused, and let in when it comes back", async () => {
    await using border = await openBorder(net);
    const versions = async () => (await border.other.ask("GET", `${border.url}/kmapi/versions`)).status;
    expect(await versions()).toBe(200);
    border.server.change({ borders: [], callbackUrl: undefined });
    border.tls.lookAgain();
    expect(border.server.lines.size).toBe(0);
    await expect(versions()).rejects.toThrow();
    border.server.change({
      borders: [{ id: kmId("kme-x"), url: border.other.url, isSynchronous: true }],
      callbackUrl: undefined,
    });
    expect(await versions()).toBe(200);
    expect([...border.server.lines.keys()]).toEqual(["kme-x"]);
  });
});
