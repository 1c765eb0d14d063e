// The client of etcd's gateway against gateways that begin and do not go on, cut off, or never answer.

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { PassThrough } from "node:stream";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { linesOf } from "../../src/cluster/answer.ts";
import { type Etcd, EtcdError, type WatchBatch } from "../../src/cluster/etcd.ts";
import { openGateway } from "../../src/cluster/gateway.ts";
import { authority, type Credentials } from "../support/certificates.ts";

/** Of a client whose voter never answers, and of all others: no machine is so busy. */
const SHORT_MS = 1_000;
const LONG_MS = 10_000;
const PATIENT_MS = 2_000;
const HEADER = { cluster_id: "1", revision: "7" };
const WELL = JSON.stringify({ header: HEADER });
let trust = "";
let own: Credentials;

beforeAll(async () => {
  const ca = await authority("Test CA of etcd");
  trust = ca.pem;
  own = await ca.issue({ name: "etcd", ips: ["127.0.0.1"] });
});

type Answer = (path: string, response: ServerResponse) => void;

const voters: Server[] = [];
const clients: Etcd[] = [];

async function voter(answer: Answer): Promise<string> {
  const server = createServer({ cert: own.certificate, key: own.key }, (request, response) => {
    request.resume().once("end", () => answer(request.url ?? "", response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  voters.push(server);
  const address = server.address();
  return `https://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
}

async function clientTo(timeoutMs: number, ...answers: Answer[]): Promise<Etcd> {
  const endpoints = [];
  for (const answer of answers) endpoints.push(await voter(answer));
  const client = openGateway({ endpoints, tls: { ...own, trust }, timeoutMs });
  clients.push(client);
  return client;
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const server of voters.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
afterAll(() => expect(voters).toEqual([]));

const range = (client: Etcd) => client.range({ prefix: "/a" });

/** The revision that some voter tells in the end. */
async function told(client: Etcd): Promise<number> {
  for (;;) {
    const answer = await range(client).catch(() => undefined);
    if (answer !== undefined) return answer.revision;
  }
}
const unlimited = new AbortController().signal;

async function watched(client: Etcd, signal = unlimited): Promise<readonly WatchBatch[]> {
  const batches: WatchBatch[] = [];
  for await (const batch of client.watch({ prefix: "/a", fromRevision: 1, heard() {} }, signal)) batches.push(batch);
  return batches;
}

/** Takes the question, and says nothing. */
const mute: Answer = () => {};
const well: Answer = (_, response) => void response.end(WELL);

describe("a gateway that does not do its duty", () => {
  test("takes a question and never answers: it is given up in time, and the next voter is asked", async () => {
    const client = await clientTo(SHORT_MS, mute, well);
    await expect(range(client)).rejects.toMatchObject({ failure: "unknown" });
    expect(await told(client)).toBe(7);
  });

  test("takes a watch and never begins it: it is given up in time, and the next voter is asked", async () => {
    const client = await clientTo(SHORT_MS, mute, well);
    await expect(watched(client)).rejects.toMatchObject({ failure: "unknown" });
    expect(await told(client)).toBe(7);
  });

  test("begins an answer and does not end it: it is given up in time", async () => {
    const client = await clientTo(SHORT_MS, (_, response) => void response.write(WELL.slice(0, 9)), well);
    await expect(range(client)).rejects.toMatchObject({ failure: "unknown" });
    expect(await told(client)).toBe(7);
  });

  test("answers slowly and goes on: it is heard to the end", async () => {
    const client = await clientTo(PATIENT_MS, async (_, response) => {
      for (const byte of WELL) {
        response.write(byte);
        await new Promise((resolve) => setTimeout(resolve, PATIENT_MS / 20));
      }
      response.end();
    });
    expect(await range(client)).toMatchObject({ revision: 7 });
  });

  test("is cut off in the middle of a watch: the watch ends", async () => {
    const client = await clientTo(LONG_MS, (_, response) => {
      response.write(`${JSON.stringify({ result: { header: HEADER, created: true } })}\n`);
      setImmediate(() => response.destroy());
    });
    await expect(watched(client)).rejects.toMatchObject({ failure: "unknown" });
  });

  test.each([
    ["refuses it before", '{"error":"not capable","code":14,"message":"not capable"}', "unknown"],
    ["ends it by an error", '{"error":{"grpc_code":14,"message":"no leader"}}', "unknown"],
    ["has forgotten the revision", '{"result":{"canceled":true,"compact_revision":"9"}}', "compacted"],
  ])("does not go on with a watch: %s", async (_, line, failure) => {
    const client = await clientTo(LONG_MS, (_path, response) => void response.end(`${line}\n`));
    await expect(watched(client)).rejects.toMatchObject({ failure });
  });

  test("falls silent in a watch that is given up for it: the next voter is asked; a stop changes nothing", async () => {
    const silent: Answer = (path, response) => {
      if (path === "/v3/watch") response.write(`${JSON.stringify({ result: { header: HEADER, created: true } })}\n`);
      else response.end(WELL);
    };
    const other: Answer = (_, response) => void response.end(JSON.stringify({ header: { ...HEADER, revision: "8" } }));
    const client = await clientTo(LONG_MS, silent, other);
    const stopped = new AbortController();
    const first = watched(client, stopped.signal);
    first.catch(() => {});
    await range(client);
    stopped.abort();
    await expect(first).rejects.toThrow(EtcdError);
    expect(await range(client)).toMatchObject({ revision: 7 });
    const stalled = new AbortController();
    const second = watched(client, stalled.signal);
    second.catch(() => {});
    await range(client);
    stalled.abort(new EtcdError("unknown", "stalled"));
    await expect(second).rejects.toThrow(EtcdError);
    expect(await range(client)).toMatchObject({ revision: 8 });
  });
});

test("a response that was cut off before it is read ends its lines with an error", async () => {
  const response = new PassThrough();
  response.on("error", () => {});
  response.destroy(new Error("cut off"));
  await new Promise((resolve) => response.once("close", resolve));
  const lines = linesOf(response as unknown as IncomingMessage, () => {});
  await expect(lines.next()).rejects.toThrow();
});

test("lines come whole, wherever they are cut", async () => {
  const text = "one\ntwö\n\nlast\n";
  for (let size = 1; size <= Buffer.byteLength(text); size++) {
    const response = new PassThrough();
    for (let at = 0; at < Buffer.byteLength(text); at += size)
      response.write(Buffer.from(text).subarray(at, at + size));
    response.end();
    const lines: string[] = [];
    for await (const line of linesOf(response as unknown as IncomingMessage, () => {})) lines.push(line);
    expect(lines).toEqual(["one", "twö", "", "last"]);
  }
});

test("of a watch's fragments each batch has its revisions whole", async () => {
  const event = (key: string, revision: number) => ({
    kv: { key: Buffer.from(key).toString("base64"), mod_revision: `${revision}` },
  });
  const parts = [
    { fragment: true, events: [event("a", 1), event("b", 2)] },
    { fragment: true, events: [event("c", 2), event("d", 3)] },
    { events: [event("e", 3)] },
  ];
  const client = await clientTo(LONG_MS, (_, response) => {
    for (const part of parts) response.write(`${JSON.stringify({ result: { header: HEADER, ...part } })}\n`);
  });
  const batches: string[] = [];
  for await (const { events } of client.watch({ prefix: "/", fromRevision: 1, heard() {} }, unlimited)) {
    batches.push(events.map(({ key }) => key).join(""));
    if (batches.length === 3) break;
  }
  expect(batches).toEqual(["a", "bc", "de"]);
});
