// The directory at the controller's endpoint: told line by line, whole or in changes, refused with the line that is wrong.

import { request } from "node:https";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DIRECTORY_LIMITS } from "../../../src/core/directory.ts";
import type { TestNode } from "../../keys/support/node.ts";
import { ModelAudit } from "../../support/model-audit.ts";
import { ModelMachine } from "../../support/model-vault.ts";
import { until } from "../../support/until.ts";
import { type Answered, ask, directoryIn, node, type Opened, open, type Papers, papers } from "./controller-kit.ts";

let own: Papers;
let km: TestNode;
let made: ReturnType<typeof directoryIn>;
let opened: Opened;
let audit: ModelAudit;

beforeAll(async () => {
  own = await papers();
  km = await node();
});
beforeEach(async () => {
  audit = new ModelAudit();
  made = directoryIn(new ModelMachine(4, () => {}), audit);
  opened = await open(own, km, made.directory);
});
afterEach(() => opened[Symbol.asyncDispose]());
afterAll(() => km.crash());

const get = (path = "directory"): Promise<Answered> => ask(own, opened, path);
const body = (base: number, entries: readonly object[]): string =>
  [{ base }, ...entries].map((line) => JSON.stringify(line)).join("\n");
const put = (text: string, method = "PUT"): Promise<Answered> => ask(own, opened, "directory", { method, body: text });

const ENTRIES = [
  { app: "app-n1", home: "km-a" },
  { app: "app-n2", home: "km-b" },
];

/** Whether a change is coming in. */
function isComing(): boolean {
  try {
    made.directory.begin("changes", made.directory.facts().revision)[Symbol.dispose]();
    return false;
  } catch {
    return true;
  }
}

describe("the directory", () => {
  test("is told as a whole and in changes, and read in pages", async () => {
    expect((await get()).json).toMatchObject({ revision: 0, apps: 0, controller: null, age_s: null, entries: null });
    expect(await put(body(0, ENTRIES))).toMatchObject({
      status: 200,
      json: { revision: 1, apps: 2, controller: "controller-1" },
    });
    const changed = await put(
      body(1, [
        { app: "app-n1", home: null },
        { app: "app-n3", home: "km-c" },
      ]),
      "PATCH",
    );
    expect(changed).toMatchObject({ status: 200, json: { revision: 2, apps: 2 } });
    const entries = [
      { app: "app-n2", home: "km-b" },
      { app: "app-n3", home: "km-c" },
    ];
    expect((await get("directory?from=0")).json).toMatchObject({ entries, next: null });
    expect(audit.of("directory_told", { controller: "controller-1" })).toHaveLength(2);
    const many = Array.from({ length: DIRECTORY_LIMITS.page + 1 }, (_, at) => ({ app: `x${at}`, home: "km-a" }));
    await put(body(2, many));
    expect((await get("directory?from=0")).json.next).toBe(DIRECTORY_LIMITS.page);
    const rest = await get(`directory?from=${DIRECTORY_LIMITS.page}`);
    expect(rest.json).toMatchObject({ entries: [many.at(-1)], next: null });
  });

  test("that is told again is confirmed, and no change", async () => {
    await put(body(0, ENTRIES));
    const again = await put(body(1, ENTRIES));
    expect(again).toMatchObject({ status: 200, json: { revision: 1 } });
    expect(again.json.confirmed_at).not.toBeNull();
    expect(audit.of("directory_told")).toHaveLength(1);
  });

  test.each<[string, string, string, string]>([
    ["PUT", "", "MALFORMED_REQUEST", "no JSON object"],
    ["PUT", "[]", "MALFORMED_REQUEST", "line 1"],
    ["PUT", '{"base": -1}', "MALFORMED_REQUEST", "line 1 must be"],
    ["PUT", '{"base": 0, "more": 1}', "MALFORMED_REQUEST", "line 1 must be"],
    ["PUT", '{"base": 1}', "DIRECTORY_CHANGED", "revision 0, not 1"],
    ["PUT", body(0, [{ app: "a", home: null }]), "MALFORMED_REQUEST", "line 2 must be"],
    ["PATCH", body(0, [{ app: "a", home: "km a" }]), "MALFORMED_REQUEST", "line 2 must be"],
    [
      "PATCH",
      body(0, [
        { app: "a", home: "km-a" },
        { app: 1, home: "km-a" },
      ]),
      "MALFORMED_REQUEST",
      "line 3 must be",
    ],
    ["PATCH", body(0, [{ app: "a", home: "km-a", quota: 1 }]), "MALFORMED_REQUEST", "line 2 must be"],
    ["PUT", `${body(0, [])}\n{"app"`, "MALFORMED_REQUEST", "line 2 is no JSON object"],
    ["PUT", `${body(0, [])}\n${"x".repeat(600)}`, "MALFORMED_REQUEST", "line is longer than"],
    [
      "PATCH",
      body(
        0,
        Array.from({ length: 5000 }, (_, at) => ({ app: `x${at}`, home: "km-a" })),
      ),
      "MALFORMED_REQUEST",
      "PUT the whole",
    ],
  ])("%s of %j is refused as %s, and nothing is changed", async (method, text, code, why) => {
    const answer = await put(text, method);
    expect(answer).toMatchObject({ status: 400, json: { code } });
    expect(answer.json.message).toContain(why);
    expect((await get()).json.revision).toBe(0);
    expect(await put(body(0, ENTRIES))).toMatchObject({ status: 200, json: { revision: 1 } });
  });

  test("of which only a part has come is not changed, and another may be told", async () => {
    const { certificate: cert, key } = own.controller;
    const options = { host: "127.0.0.1", port: opened.server.port, path: "/api/v1/directory", method: "PUT" };
    const asking = request({ ...options, cert, key, ca: own.servers.pem, agent: false });
    asking.on("error", () => {});
    asking.write(`${body(0, ENTRIES)}\n`);
    await until("it is coming in", () => isComing());
    expect((await put(body(0, []))).json.code).toBe("BUSY");
    asking.destroy();
    await until("it has been given up", () => !isComing());
    await put(body(0, ENTRIES.slice(0, 1)));
    expect((await get("directory?from=0")).json).toMatchObject({ revision: 1, entries: [ENTRIES[0]] });
  });

  test("is not changed before the books are read", async () => {
    await using early = await open(own, undefined, made.directory);
    const answer = await ask(own, early, "directory", { method: "PUT", body: body(0, ENTRIES) });
    expect(answer).toMatchObject({ status: 503, json: { code: "HSM_UNAVAILABLE" } });
    expect((await ask(own, early, "directory")).json).toMatchObject({ revision: 0 });
  });
});
