// A client that is not let in, or has reached something that is no Ak door, is told so, and that nothing was served.

import { once } from "node:events";
import { createServer as createHttp } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { createServer as createTls } from "node:tls";
import { beforeAll, describe, expect, test } from "vitest";
import { connectAk } from "../../src/ak/client.ts";
import { appId, kmId } from "../../src/core/ids.ts";
import { authority, forIdentity, material } from "../support/certificates.ts";
import { openAk, type Papers, papers } from "./ak-kit.ts";

const C1 = appId("app-c1");
const DAY_MS = 86_400_000;
let own: Papers;
beforeAll(async () => {
  own = await papers();
});

/** @returns its port */
async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

describe("an application", () => {
  test("whose own certificate has expired is told so before it dials", async () => {
    await using door = await openAk(own);
    const expired = await own.apps.issue({ uris: ["urn:qkm:app:app-a1"], untilMs: -DAY_MS / 2 });
    const refused = { name: "Refusal", reason: "expired", message: expect.stringContaining("this application's own") };
    await expect(door.client(expired)).rejects.toMatchObject(refused);
    expect(door.seen.count("connections_refused")).toBe(0);
  });

  test.each([
    ["that is not admitted", async () => forIdentity(own.apps, "app", "app-x"), "not admitted"],
    ["of another authority", async () => forIdentity(await authority("others"), "app", "app-a1"), "authority"],
    ["with a key manager's certificate", async () => forIdentity(own.apps, "km", "km-a"), "exactly one application"],
  ])("%s is told so at its first request", async (_, issued, why) => {
    await using door = await openAk(own);
    await using client = await door.client(await issued());
    const refused = { name: "AkUnanswered", isRefused: true, mayBeServed: false };
    const asked = client.getKeys({ destination: C1 });
    await expect(asked).rejects.toMatchObject({
      ...refused,
      message: expect.stringMatching(`${why}.*; nothing was served`),
    });
    const again = client.getKeys({ destination: C1 });
    await expect(again).rejects.toMatchObject(refused);
  });
});

describe("a port", () => {
  test("that speaks HTTP over TLS is told of, and nothing was served", async () => {
    const server = createTls({ cert: own.km.certificate, key: own.km.key }, (socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
    });
    const port = await listening(server);
    await using client = await connectAk({ host: "127.0.0.1", port, km: kmId("km-a"), tls: material(own.a1, own.kms) });
    const refused = { isRefused: true, mayBeServed: false, message: expect.stringContaining("speaks HTTP, not Ak") };
    await expect(client.getKeys({ destination: C1 })).rejects.toMatchObject(refused);
    server.close();
  });

  test("that speaks plain HTTP is told of when it is dialled", async () => {
    const server = createHttp();
    const port = await listening(server);
    const dialled = connectAk({ host: "127.0.0.1", port, km: kmId("km-a"), tls: material(own.a1, own.kms) });
    await expect(dialled).rejects.toMatchObject({ name: "Refusal", message: expect.stringContaining("speaks no TLS") });
    server.close();
  });
});
