// Tests of src/http/service.ts and connection.ts: connections that are shared, slow, rude, cut, or stopped.

import { afterEach, describe, expect, it, vi } from "vitest";
import { Fault } from "../../src/core/fault.ts";
import { DRAIN_MS, HTTP_LIMITS } from "../../src/http/service.ts";
import { until } from "../support/until.ts";
import { openService, type RawClient } from "./bench-service.ts";
import { fakeGrant, fakeId, fakeKey } from "./fake-door.ts";

const GET = (path: string, headers = "", version = "1.1") =>
  `GET /api/v1/keys${path} HTTP/${version}\r\nHost: km-a\r\n${headers}\r\n`;
const answers = (text: string): number => text.split("HTTP/1.1 ").length - 1;

/** Time in which the door looks who is late goes on only as the test says; to be called before the door is opened. */
const holdTime = () => vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
afterEach(() => void vi.useRealTimers());

/** Lets time go on until something has come of it. */
const untilLate = (what: string, condition: () => boolean): Promise<void> =>
  until(what, () => {
    vi.advanceTimersByTime(1_000);
    return condition();
  });

async function say(client: RawClient, text: string, replies: number): Promise<string> {
  client.socket.write(text);
  return client.received((got) => answers(got) >= replies && got.endsWith("}"));
}

describe("keep-alive", () => {
  it("serves many requests on one connection", async () => {
    await using service = await openService();
    using client = await service.raw();
    for (let i = 1; i <= 20; i++) await say(client, GET("/app-b1/enc_keys"), i);
    expect(service.door.grants.every((grant) => grant.disposed === 1)).toBe(true);
    expect(service.clock.waiting).toBe(0);
  });

  it("promises the time that it keeps a connection, and says the date", async () => {
    await using service = await openService();
    const { headers } = await service.ask("/app-b1/enc_keys", { headers: { connection: "keep-alive" } });
    expect(headers.connection).toBe("keep-alive");
    expect(headers["keep-alive"]).toBe(`timeout=${HTTP_LIMITS.keepAliveTimeout / 1000}`);
    expect(headers.date).toBe("Thu, 01 Jan 2026 00:00:00 GMT");
    expect(headers["cache-control"]).toBe("no-store");
  });

  it("ends the connection after the answer when the client asks for that", async () => {
    await using service = await openService();
    for (const request of [GET("/app-b1/enc_keys", "Connection: close\r\n"), GET("/app-b1/enc_keys", "", "1.0")]) {
      using client = await service.raw();
      client.socket.write(request);
      const text = await client.ended();
      expect(text).toContain("Connection: close");
      expect(text).toContain(fakeKey(0, 32).toString("base64"));
    }
  });

  it("takes a request in absolute form", async () => {
    await using service = await openService();
    using client = await service.raw();
    const text = await say(client, "GET https://km-a/api/v1/keys/app-b1/enc_keys HTTP/1.1\r\nHost: km-a\r\n\r\n", 1);
    expect(text).toContain("HTTP/1.1 200 OK");
  });

  it("goes on after a refusal on the same connection", async () => {
    await using service = await openService();
    using client = await service.raw();
    await say(client, GET("/app-b1/enc_keys?size=7"), 1);
    expect(await say(client, GET("/app-b1/enc_keys"), 2)).toContain("HTTP/1.1 200 OK");
  });
});

describe("bodies", () => {
  const PATH = "/api/v1/keys/app-b1/enc_keys";

  it("may come in chunks, as from clients that do not know their length", async () => {
    await using service = await openService();
    using client = await service.raw();
    const head = `POST ${PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`;
    await say(client, `${head}5\r\n{"num\r\n8\r\nber": 2}\r\n0\r\n\r\n`, 1);
    expect(service.door.asked[0]?.request).toMatchObject({ count: 2 });
    expect(await say(client, GET("/app-b1/status"), 2)).toContain("source_KME_ID");
  });

  it("that are kept back until the door says so are asked for", async () => {
    await using service = await openService();
    using client = await service.raw();
    client.socket.write(`POST ${PATH} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 13\r\n\r\n`);
    await client.received((got) => got === "HTTP/1.1 100 Continue\r\n\r\n");
    await say(client, '{"number": 3}', 2);
    expect(service.door.asked[0]?.request).toMatchObject({ count: 3 });
  });

  it("of requests that wait end the connection when they are too long together", async () => {
    await using service = await openService();
    service.door.answers = "wait";
    using client = await service.raw();
    client.socket.write(GET("/app-b1/enc_keys"));
    await service.door.askedFor(1);
    const body = `{"x":"${"y".repeat(40_000)}"}`;
    client.socket.write(`POST ${PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`.repeat(2));
    expect(await client.ended()).toBe("");
    expect(service.recorder.count("frames_refused", { door: "etsi014", reason: "pipelined" })).toBe(1);
    expect(service.door.asked[0]?.givenUp).toBe(1);
  });
});

describe("what is no request that we can serve is answered with 400, and the connection ends", () => {
  const HEAD = "/api/v1/keys/app-b1/enc_keys";
  const chunked = `POST ${HEAD} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`;

  it.each([
    ["two Host headers", `GET ${HEAD} HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n`],
    ["HTTP/2.0", `GET ${HEAD} HTTP/2.0\r\nHost: a\r\n\r\n`],
    ["HTTP/0.9", `GET ${HEAD} HTTP/0.9\r\nHost: a\r\n\r\n`],
    ["no version", `GET ${HEAD}\r\n\r\n`],
    ["CONNECT", "CONNECT km-a:443 HTTP/1.1\r\nHost: km-a:443\r\n\r\n"],
    ["a chunk with a bad length", `${chunked}x\r\n{}\r\n0\r\n\r\n`],
    ["a chunk with a bad end", `${chunked}2\r\n{}xx0\r\n\r\n`],
    ["a chunk with a bad end that comes later", `${chunked}2\r\n{}`, "xx0\r\n\r\n"],
  ])("%s", async (_what, text, later = "") => {
    await using service = await openService();
    using client = await service.raw();
    await new Promise((resolve) => client.socket.write(text, resolve));
    if (later !== "") client.socket.write(later);
    const answer = await client.ended();
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answers(answer)).toBe(1);
    expect(answer).toMatch(/\{"message":"[^"]+"\}$/);
    expect(service.door.grants).toEqual([]);
  });

  it("but not in the middle of an answer that is under way", async () => {
    await using service = await openService();
    using client = await service.raw();
    client.socket.write(GET("/app-b1/enc_keys") + GET("/app-b1/enc_keys", "Host: b\r\n"));
    const answer = await client.ended();
    expect(answers(answer)).toBe(2);
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*HTTP\/1\.1 400 /);
  });
});

describe("pipelined requests", () => {
  it("are answered in order, and each is asked for when the one before is out", async () => {
    await using service = await openService();
    service.door.answers = "wait";
    using client = await service.raw();
    const body = '{"size":512}';
    const post = `POST /api/v1/keys/app-b1/enc_keys HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    client.socket.write(GET("/app-b1/enc_keys?size=128") + post + GET("/app-b1/status"));
    await service.door.askedFor(1);
    service.door.grant(0);
    await service.door.askedFor(2);
    service.door.grant(1);
    const text = await client.received((got) => answers(got) === 3 && got.endsWith("}"));
    const order = [fakeKey(0, 16).toString("base64"), fakeKey(0, 64).toString("base64"), "source_KME_ID"];
    const found = order.map((part) => text.indexOf(part));
    expect(found).toEqual([...found].sort((a, b) => a - b));
    expect(found.every((at) => at > 0)).toBe(true);
  });

  it("end the connection when there are too many", async () => {
    await using service = await openService();
    service.door.answers = "wait";
    using client = await service.raw();
    client.socket.write(GET("/app-b1/enc_keys").repeat(100));
    await client.ended();
    expect(service.recorder.count("frames_refused", { door: "etsi014", reason: "pipelined" })).toBe(1);
    expect(service.door.asked).toHaveLength(1);
    await until("it is given up", () => service.door.asked[0]?.givenUp === 1);
  });
});

describe("a client that goes away", () => {
  it("gives its waiting request up", async () => {
    await using service = await openService();
    service.door.answers = "wait";
    using client = await service.raw();
    client.socket.write(GET("/app-b1/enc_keys"));
    await service.door.askedFor(1);
    client.socket.destroy();
    await until("it is given up", () => service.door.asked[0]?.givenUp === 1);
    const late = service.door.grant(0);
    expect(late).toMatchObject({ written: 0, disposed: 1 });
  });

  it("and refuses quietly after that", async () => {
    await using service = await openService();
    service.door.answers = "wait";
    using client = await service.raw();
    client.socket.write(GET("/app-b1/enc_keys"));
    await service.door.askedFor(1);
    client.socket.destroy();
    await until("it is given up", () => service.door.asked[0]?.givenUp === 1);
    service.door.asked[0]?.answer.refused(new Fault("INSUFFICIENT_KEYS"));
    expect(service.recorder.count("requests_refused", { door: "etsi014", fault: "INSUFFICIENT_KEYS" })).toBe(1);
  });

  it("asks nothing when it goes in the middle of a body", async () => {
    await using service = await openService();
    using client = await service.raw();
    client.socket.write("POST /api/v1/keys/app-b1/enc_keys HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{");
    await until("it is written", () => client.socket.bytesWritten > 0);
    client.socket.destroy();
    await service.ask("/app-b1/status");
    expect(service.door.asked).toEqual([]);
  });
});

describe("a client that does not read", () => {
  it("is cut off at the deadline, its grant disposed, the memory zero and free for others", async () => {
    holdTime();
    await using service = await openService({ memoryBytes: 8192 });
    service.door.answers = "wait";
    using client = await service.raw();
    client.socket.pause();
    client.socket.write(GET("/app-b1/enc_keys"));
    await service.door.askedFor(1);
    const grant = fakeGrant(new Array<number>(3000).fill(4088));
    service.door.asked[0]?.answer.granted(grant);
    await until("keys are written", () => grant.written > 0);
    await untilLate("it is disposed", () => grant.disposed === 1);
    expect(grant.written).toBeLessThan(3000);
    expect(service.memory.every((byte) => byte === 0)).toBe(true);
    service.door.answers = "grant";
    expect((await service.ask("/app-b1/enc_keys")).status).toBe(200);
  });
});

describe("rude clients", () => {
  it.each([
    ["no HTTP", "\x16\x03\x01 hello\r\n\r\n", "malformed"],
    ["a head that is too large", GET("/app-b1/status", `X: ${"y".repeat(9000)}\r\n`), "head too large"],
    ["two lengths", GET("/app-b1/status", "Content-Length: 1\r\nContent-Length: 2\r\n"), "malformed"],
    ["a length and chunks", GET("/app-b1/status", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), "malformed"],
  ])("get 400 and the end of the connection: %s", async (_, bytes, reason) => {
    await using service = await openService();
    using client = await service.raw();
    client.socket.write(bytes);
    const text = await client.ended();
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(text).toMatch(/\r\n\r\n\{"message":".+"\}$/);
    expect(service.recorder.count("frames_refused", { door: "etsi014", reason: reason })).toBe(1);
  });

  it.each([
    ["say nothing", ""],
    ["never end their head", "GET /api/v1/keys/app-b1/status HTTP/1.1\r\nHost:"],
    ["never end their body", "POST /api/v1/keys/app-b1/enc_keys HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"],
  ])("are cut off when they %s", async (_, bytes) => {
    holdTime();
    await using service = await openService();
    using client = await service.raw();
    client.socket.write(bytes);
    const refused = () => service.recorder.count("frames_refused", { door: "etsi014", reason: "too slow" });
    await untilLate("it is refused", () => refused() > 0);
    expect(await client.ended()).toMatch(/^HTTP\/1\.1 400 /);
    expect(refused()).toBe(1);
    expect(service.door.asked).toEqual([]);
  });

  it("are not cut off while the key manager lets them wait", async () => {
    holdTime();
    await using service = await openService();
    service.door.answers = "wait";
    using client = await service.raw();
    client.socket.write(GET("/app-b1/enc_keys"));
    await service.door.askedFor(1);
    vi.advanceTimersByTime(10 * HTTP_LIMITS.keepAliveTimeout);
    service.door.grant(0);
    expect(await client.received((got) => got.endsWith("}"))).toContain("HTTP/1.1 200 OK");
  });

  it.each([
    ["their next request", "", HTTP_LIMITS.keepAliveTimeout],
    ["the rest of its head", GET("/app-b1/status").slice(0, 10), HTTP_LIMITS.headersTimeout],
  ])("have time for %s, and are cut off then", async (_, begun, mostMs) => {
    const status = GET("/app-b1/status");
    holdTime();
    await using service = await openService();
    using client = await service.raw();
    await say(client, status, 1);
    client.socket.write(begun);
    vi.advanceTimersByTime(mostMs - HTTP_LIMITS.checkInterval);
    await say(client, status.slice(begun.length), 2);
    client.socket.write(begun);
    let isEnded = false;
    client.socket.once("close", () => {
      isEnded = true;
    });
    await untilLate("it is ended", () => isEnded);
    expect(service.recorder.count("frames_refused", { door: "etsi014" })).toBe(begun === "" ? 0 : 1);
  });

  it("a broken request behind an unanswered one ends the connection without a false answer", async () => {
    await using service = await openService();
    service.door.answers = "wait";
    using client = await service.raw();
    client.socket.write(`${GET("/app-b1/enc_keys")}\x00\x01\r\n\r\n`);
    expect(await client.ended()).toBe("");
    await until("it is given up", () => service.door.asked[0]?.givenUp === 1);
  });
});

describe("stop", () => {
  it("lets requests under way end, then their connections, and takes no new ones", async () => {
    await using service = await openService();
    service.door.answers = "wait";
    using busy = await service.raw();
    using idle = await service.raw();
    busy.socket.write(GET("/app-b1/enc_keys"));
    await service.door.askedFor(1);
    const stopped = service.stop();
    await idle.ended();
    await expect(service.ask("/app-b1/status")).rejects.toThrow(/hang up|ECONNRESET/);
    service.door.grant(0);
    expect(await busy.ended()).toContain("Connection: close");
    await stopped;
    expect(service.clock.waiting).toBe(0);
  });

  it("cuts off what does not end by the deadline", async () => {
    await using service = await openService();
    service.door.answers = "wait";
    using client = await service.raw();
    client.socket.write(GET(`/app-b1/dec_keys?key_ID=${fakeId(1)}`));
    await service.door.askedFor(1);
    const stopped = service.stop();
    service.clock.advance(DRAIN_MS);
    await stopped;
    expect(await client.ended()).toBe("");
    await until("it is given up", () => service.door.asked[0]?.givenUp === 1);
  });
});
