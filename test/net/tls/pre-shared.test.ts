// Tests of src/net/tls/pre-shared.ts and the gate: clients that have a key in place of a certificate.

import { once } from "node:events";
import type { ConnectionOptions } from "node:tls";
import { beforeAll, describe, expect, it } from "vitest";
import { secretOf } from "../../../src/core/memory/secret.ts";
import { Credentials } from "../../../src/net/tls/credentials.ts";
import { material } from "../../support/certificates.ts";
import { until } from "../../support/until.ts";
import { type Door, gone, openDoor, type Papers, papers } from "../net-kit.ts";

const KEY = "00112233445566778899aabbccddeeff";
const keyed = (id: string) => ({ id, key: secretOf(Buffer.from(KEY, "hex")) });
const PRE_SHARED = new Map([
  ["router 1", keyed("app-a1")],
  ["router 2", keyed("app-x")],
]);

let own: Papers;
beforeAll(async () => {
  own = await papers();
});

const withPsk = (identity: string, key = KEY, more: ConnectionOptions = {}): ConnectionOptions => ({
  ciphers: "DHE-PSK-AES256-GCM-SHA384",
  maxVersion: "TLSv1.2",
  pskCallback: () => ({ identity, psk: Buffer.from(key, "hex") }),
  ...more,
});

const refusals = (door: Door, reason: string) => door.seen.count("connections_refused", { door: "ak", reason });

describe("RFC 4279: clients with a pre-shared key", () => {
  it.each(["DHE-PSK-AES256-GCM-SHA384", "DHE-PSK-AES256-CBC-SHA384"])(
    "are who their identity says, over %s",
    async (ciphers) => {
      await using door = await openDoor(own, { preShared: PRE_SHARED });
      const socket = door.connect(withPsk("router 1", KEY, { ciphers }));
      await once(socket, "secureConnect");
      expect([socket.getProtocol(), socket.getCipher().name]).toEqual(["TLSv1.2", ciphers]);
      await until("it is admitted", () => door.channels.length === 1);
      const [channel] = door.channels;
      expect([channel?.id, channel?.group, channel?.certificate]).toEqual([
        "app-a1",
        "DHE-PSK",
        'PSK identity "router 1"',
      ]);
      expect(JSON.stringify(door.seen.lines)).not.toContain(KEY);
      socket.destroy();
    },
  );

  it("with an unknown identity, another key or an application that is not admitted are refused, with the reason", async () => {
    await using door = await openDoor(own, { preShared: PRE_SHARED });
    for (const [options, reason] of [
      [withPsk("router 3"), "psk"],
      [withPsk("router 1", KEY.replace("0", "1")), "handshake"],
      [withPsk("router 2"), "not_admitted"],
    ] as const) {
      await gone(door.connect(options));
      await until(`it is refused: ${reason}`, () => refusals(door, reason) === 1);
    }
    expect(door.channels).toEqual([]);
  });

  it("are closed when their identity has another key, and come in with that one", async () => {
    const keys = new Map(PRE_SHARED);
    const tls = new Credentials(material(own.km, own.apps));
    await using door = await openDoor(own, { preShared: keys, tls });
    const [socket, stays] = [door.connect(withPsk("router 1")), await door.dial(own.app)];
    await until("they are admitted", () => door.channels.length === 2);
    const other = KEY.replace("0", "1");
    keys.set("router 1", { id: "app-a1", key: secretOf(Buffer.from(other, "hex")) });
    tls.lookAgain();
    await gone(socket);
    expect(door.audit.of("connection_cut", { reason: "psk" })).toHaveLength(1);
    await once(door.connect(withPsk("router 1", other)), "secureConnect");
    stays.close("done");
  });

  it("are refused at a door that knows none", async () => {
    await using door = await openDoor(own);
    await gone(door.connect(withPsk("router 1")));
    await until("it is refused", () => refusals(door, "handshake") + refusals(door, "group") === 1);
  });

  it("can neither renegotiate nor resume", async () => {
    await using door = await openDoor(own, { preShared: PRE_SHARED });
    const socket = door.connect(withPsk("router 1"));
    await once(socket, "secureConnect");
    expect(socket.getTLSTicket()).toBeUndefined();
    const renegotiated = new Promise((resolve) => {
      socket.renegotiate({}, (error) => resolve(error));
      socket.once("close", () => resolve("closed"));
    });
    expect(await renegotiated).not.toBeNull();
    socket.destroy();
  });

  it("leave those with certificates as they are: TLS 1.3, and who the certificate says", async () => {
    await using door = await openDoor(own, { preShared: PRE_SHARED });
    const channel = await door.dial(own.app);
    expect(channel.group).toBe("X25519MLKEM768");
    const old = door.connect({ cert: own.app.certificate, key: own.app.key, maxVersion: "TLSv1.2" });
    await gone(old);
    await until("TLS 1.2 with a certificate is refused", () => refusals(door, "handshake") === 1);
    channel.close("done");
  });
});
