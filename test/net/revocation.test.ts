// Revoked, expired and renewed certificates at a listener: who is let in, and who is closed although he is in already.

import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { beforeAll, describe, expect, test } from "vitest";
import { Credentials } from "../../src/net/tls/credentials.ts";
import { readRevocationLists } from "../../src/net/tls/revocation-list.ts";
import { type Authority, authority, forIdentity, material, type Credentials as Pem } from "../support/certificates.ts";
import { eventually } from "../system/support/eventually.ts";
import { type Door, openDoor, type Papers, papers } from "./net-kit.ts";

let all: Papers;
let other: Pem;
beforeAll(async () => {
  all = await papers();
  other = await forIdentity(all.apps, "app", "app-a2");
});

/** A door whose credentials can be renewed. */
async function renewable(from: { readonly crl?: readonly string[]; readonly requireCrl?: boolean } = {}) {
  const credentials = new Credentials({ ...material(all.km, all.apps), ...from });
  return { credentials, door: await openDoor(all, { tls: credentials }) };
}

const reasonsAt = (door: Door): readonly unknown[] =>
  door.seen.lines.map(({ fields }) => fields.reason).filter(Boolean);

/** Resolves when the channel, which is a client's, is gone. */
function endOf(channel: Awaited<ReturnType<Door["dial"]>>): Promise<string> {
  return new Promise((resolve) => channel.start({ received: () => {}, drained: () => {}, closed: resolve }));
}

test("a revoked certificate is refused, another of the same authority is let in", async () => {
  const { door } = await renewable({ crl: [await all.apps.revoke([all.app])] });
  await using _ = door;
  await endOf(await door.dial(all.app));
  await eventually("the refusal is logged", () => reasonsAt(door).includes("revoked"));
  await door.dial(other);
  await eventually("the other one is in", () => door.channels.map(({ id }) => id).includes("app-a2"));
  expect(door.channels).toHaveLength(1);
});

test("a connection is closed at once when its certificate is revoked; the others stand", async () => {
  const { door, credentials } = await renewable();
  await using _ = door;
  const [revoked, stays] = await Promise.all([door.dial(all.app), door.dial(other)]);
  await eventually("both are in", () => door.channels.length === 2);
  const ended = endOf(revoked);
  let hasEnded = false;
  void endOf(stays).then(() => {
    hasEnded = true;
  });
  credentials.renew({ ...material(all.km, all.apps), crl: [await all.apps.revoke([all.app])] });
  await ended;
  expect(reasonsAt(door)).toEqual(["revoked"]);
  expect(door.audit.events.filter(({ kind }) => kind === "connection_cut")).toHaveLength(1);
  await door.dial(other);
  await eventually("who is not revoked comes again", () => door.channels.length === 3);
  expect(hasEnded).toBe(false);
});

test("a connection under a trust anchor that was removed is closed, and one more is not let in", async () => {
  const { door, credentials } = await renewable();
  await using _ = door;
  const channel = await door.dial(all.app);
  await eventually("it is in", () => door.channels.length === 1);
  const strangers = await authority("strangers");
  credentials.renew(material(all.km, strangers));
  await endOf(channel);
  await endOf(await door.dial(all.app));
  await eventually("both are told why", () => reasonsAt(door).filter((reason) => reason === "unknown_ca").length === 2);
});

test("a connection is closed when its certificate expires", async () => {
  const { door } = await renewable();
  await using _ = door;
  const soon = await all.apps.issue({ uris: ["urn:qkm:app:app-a3"], untilMs: 3_000 });
  await endOf(await door.dial(soon));
  expect(reasonsAt(door)).toEqual(["expired"]);
});

test("the door shows its renewed certificate from then on, and stands under the old one", async () => {
  const { door, credentials } = await renewable();
  await using _ = door;
  const shown = async (): Promise<string> => {
    const socket = door.connect({ cert: other.certificate, key: other.key });
    await once(socket, "secureConnect");
    const { fingerprint256 } = socket.getPeerCertificate();
    return fingerprint256;
  };
  const before = await shown();
  credentials.renew(material(await forIdentity(all.kms, "km", "km-a"), all.apps));
  expect(await shown()).not.toBe(before);
  await eventually("both are in", () => door.channels.length === 2);
  expect(door.listener.connections).toBe(2);
});

describe("an expired list", () => {
  test("still says who is revoked, and lets the others in", async () => {
    const { door } = await renewable({ crl: [await all.apps.revoke([all.app], { untilMs: -1000 })] });
    await using _ = door;
    await endOf(await door.dial(all.app));
    await door.dial(other);
    await eventually("the other one is in", () => door.channels.length === 1);
    expect(reasonsAt(door)).toEqual(["revoked"]);
  });

  test.each([
    ["expired", -1000],
    ["missing", undefined],
  ] as const)("or one that is %s lets nobody in where require_crl is set", async (_, untilMs) => {
    const crl = untilMs === undefined ? [] : [await all.apps.revoke([], { untilMs })];
    const { door, credentials } = await renewable({ crl, requireCrl: true });
    await using __ = door;
    await endOf(await door.dial(other));
    await eventually("it is told why", () => reasonsAt(door).includes("crl"));
    credentials.renew({ ...material(all.km, all.apps), crl: [await all.apps.revoke([])], requireCrl: true });
    await door.dial(other);
    await eventually("with a list it is in", () => door.channels.length === 1);
  });
});

test("who is revoked is told of once more after its connection has ended, and who only expired is not", async () => {
  const credentials = new Credentials(material(all.km, all.apps));
  const told: string[] = [];
  const stand = (name: string, { certificate }: Pem): (() => void) =>
    credentials.stand({
      certificate: new X509Certificate(certificate),
      whyNot: () => undefined,
      end: ({ reason }) => void told.push(`${name} ${reason}`),
      disowned: () => void told.push(`${name} disowned`),
    });
  for (const leave of [stand("app-a1", all.app), stand("app-a2", other)]) leave();
  credentials.renew({ ...material(all.km, all.apps), crl: [await all.apps.revoke([all.app])] });
  credentials.lookAgain();
  expect(told).toEqual(["app-a1 disowned"]);
});

test("material that cannot be used changes nothing", async () => {
  const { door, credentials } = await renewable({ crl: [await all.apps.revoke([all.app])] });
  await using _ = door;
  const strange = await (await authority("apps")).revoke([]);
  expect(() => credentials.renew({ ...material(all.km, all.apps), crl: [strange] })).toThrow("signature");
  await endOf(await door.dial(all.app));
  await eventually("it is still revoked", () => reasonsAt(door).includes("revoked"));
});

describe("a list", () => {
  const read = async (pem: string, of: readonly Authority[]) =>
    readRevocationLists(
      pem,
      of.map(({ pem: anchor }) => new X509Certificate(anchor)),
    );

  test("of another authority is refused, and so is one that no authority signed", async () => {
    const pem = await all.apps.revoke([all.app]);
    expect((await read(pem, [all.kms, all.apps]))[0]?.serials.size).toBe(1);
    await expect(read(pem, [all.kms])).rejects.toThrow("none of the authorities");
    await expect(read(pem, [await authority("apps")])).rejects.toThrow("signature");
  });

  test("RFC 5280 5.2: with a critical extension, as those for a part of the certificates have, is refused", async () => {
    await expect(read(await all.apps.revoke([], { critical: ["2.5.29.28"] }), [all.apps])).rejects.toThrow(
      "whole list",
    );
  });

  test("cut at any byte, or with one changed, is refused", async () => {
    const whole = Buffer.from((await all.apps.revoke([all.app])).replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
    const pemOf = (bytes: Uint8Array): string =>
      `-----BEGIN X509 CRL-----\n${Buffer.from(bytes).toString("base64")}\n-----END X509 CRL-----`;
    for (let at = 0; at < whole.length; at++) {
      await expect(read(pemOf(whole.subarray(0, at)), [all.apps])).rejects.toThrow();
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      await expect(read(pemOf(changed), [all.apps])).rejects.toThrow();
    }
  });
});
