// What goes wrong with key managers in the field, and the test here that would notice.
//
//   seen in the field                                              | noticed by
//   ---------------------------------------------------------------|----------------------------------------------------
//   one object in the token per key, extractable                   | below (objects); drivers/pkcs11/kek.test.ts
//   after kill -9 of one end: keys that the other end answers empty| below (survivor); crash.test.ts
//   key IDs begin at 1 again after a restart                       | below (IDs); keys/crash.test.ts
//   256 bits and nothing else; 256 where 512 are asked             | below (512); doors.test.ts, every size at both doors
//   keys in plain on the disk                                      | crash.test.ts, stores searched for every key
//   dec_keys can be replayed for ever                              | below (replay); doors.test.ts; keys/supply.test.ts
//   two clients at once: deadlock                                  | below (eight at once)
//   a second enc_keys drops the keys of the first                  | below (second enc_keys)
//   every key is printed                                           | below (logs); crash.test.ts, over both doors
//   any certificate of the CA reads the whole pool                 | security.test.ts; doors.test.ts (fetching)
//   a header names the SAE                                         | below (header); security.test.ts for Ak
//   dead after 1,000 keys                                          | below (1,500 keys)
//   one pad for every relay                                        | keys/relay.test.ts: a block named twice is refused
//   the tag of a relay is never checked                            | keys/relay.test.ts: BAD_TAG; bad-links.long.test.ts (lying)
//   success falls as load rises                                    | below (eight at once)
//   a failed commit at the peer goes unnoticed                     | keys/relay.test.ts: the store does not take the key
//   a refused certificate: nobody says which and why               | security.test.ts
//   an answer waits for the other end                              | below (survivor)
//   a status that is wrong, beyond int32, or contradicts itself    | doors.test.ts; etsi014/handler.test.ts
//   unknown members and master_SAE_ID in dec_keys are refused      | below (unknown members)
//   a JSON body on GET is refused                                  | below (body on GET)
//   scarce key goes to whoever asks most                           | bad-links.long.test.ts (2 kbit/s); doors.test.ts (quota)
//   no IP address in the server's certificate                      | security.test.ts (strict clients)
//   IDs that are no UUIDs, base64 without padding                  | below (every answer)

import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nodePlaces } from "../../src/cli/provision/plan.ts";
import { ask } from "./support/https.ts";
import { akFetch, akSupply, idsOf, placeOf } from "./support/keys.ts";
import type { Km } from "./support/km.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";
import type { SaeKey } from "./support/sae.ts";
import { spelledNeedles } from "./support/scan.ts";

let network: Network;
beforeAll(async () => {
  network = await startNetwork(PAIR);
  await network.stocked();
});
afterAll(() => network?.[Symbol.asyncDispose]());

/** Every key handed out to an initiator in this file. */
const handedOut: SaeKey[] = [];

async function supply(from: string, to: string, number = 1, size = 256): Promise<SaeKey[]> {
  const answer = await ask(network.app(from), `${to}/enc_keys`, { body: { number, size } });
  expect(answer.status).toBe(200);
  for (const { key, key_ID } of answer.json.keys as { key: string; key_ID: string }[]) {
    expect(key_ID).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(key).toBe(Buffer.from(key, "base64").toString("base64"));
  }
  handedOut.push(...answer.keys);
  return [...answer.keys];
}

const fetchBody = (ids: readonly string[], more: object = {}) => ({
  key_IDs: ids.map((key_ID) => ({ key_ID, ...more })),
});

test("eight at once: clients of both apps and both doors all get their keys, and fetch them", async () => {
  const once = async (from: string, to: string): Promise<void> => {
    await using source = await network.app(from).connectAk();
    await using destination = await network.app(to).connectAk();
    for (let round = 0; round < 10; round++) {
      const overAk = await akSupply(source, to, 4, 256);
      handedOut.push(...overAk);
      expect(await network.app(to).decKeys(from, idsOf(overAk))).toEqual(overAk);
      const overHttps = await supply(from, to, 4);
      expect(await akFetch(destination, from, idsOf(overHttps))).toEqual(overHttps);
    }
  };
  const pairs = [
    ["app-a1", "app-b1"],
    ["app-b1", "app-a1"],
    ["app-a2", "app-b2"],
    ["app-b2", "app-a2"],
  ] as const;
  await Promise.all([...pairs, ...pairs].map(([from, to]) => once(from, to)));
});

test("a second enc_keys leaves the keys of the first where they are", async () => {
  const first = await supply("app-a1", "app-b1", 2);
  const second = await supply("app-a1", "app-b1", 2);
  expect(await network.app("app-b1").decKeys("app-a1", idsOf(second))).toEqual(second);
  expect(await network.app("app-b1").decKeys("app-a1", idsOf(first))).toEqual(first);
});

test("dec_keys cannot be replayed, by GET or POST, over either door", async () => {
  const [key] = await supply("app-a1", "app-b1");
  const id = key?.id ?? "";
  const b1 = network.app("app-b1");
  expect(await b1.decKeys("app-a1", [id])).toEqual([key]);
  expect((await ask(b1, `app-a1/dec_keys?key_ID=${id}`)).status).toBe(400);
  expect((await ask(b1, "app-a1/dec_keys", { body: fetchBody([id]) })).status).toBe(400);
  await using ak = await b1.connectAk();
  await expect(akFetch(ak, "app-a1", [id])).rejects.toThrow("KEY_NOT_FOUND");
});

test("512 bits asked are 512 bits, at both ends", async () => {
  const keys = await supply("app-a1", "app-b1", 2, 512);
  expect(keys.map(({ key }) => key.length)).toEqual([64, 64]);
  expect(await network.app("app-b1").decKeys("app-a1", idsOf(keys))).toEqual(keys);
});

test("a header that names another SAE changes nothing, for supply and for fetching", async () => {
  const claim = (id: string) => ({
    "x-sae-id": id,
    "x-forwarded-client-cert": `URI=urn:qkm:app:${id}`,
    "x-ssl-client-s-dn": `CN=${id}`,
    "ssl-client-cn": id,
    authorization: `Basic ${Buffer.from(`${id}:`).toString("base64")}`,
  });
  const supplied = await ask(network.app("app-a1"), "app-b1/enc_keys", { headers: claim("app-a2"), body: {} });
  const ids = supplied.keys.map(({ id }) => id);
  const b1 = network.app("app-b1");
  expect((await ask(b1, "app-a2/dec_keys", { body: fetchBody(ids) })).status).toBe(401);
  const asB1 = { headers: claim("app-b1"), body: fetchBody(ids) };
  expect((await ask(network.app("app-b2"), "app-a1/dec_keys", asB1)).status).toBe(401);
  expect((await ask(b1, "app-a1/dec_keys", { body: fetchBody(ids) })).keys).toEqual(supplied.keys);
});

test("unknown members are tolerated, in the body and in the entries of key_IDs", async () => {
  const a1 = network.app("app-a1");
  const more = { vendor_hint: { a: [1] }, extension_optional: [{ vendor_x: 1 }], additional_slave_SAE_IDs: [] };
  const supplied = await ask(a1, "app-b1/enc_keys", { body: { number: 2, ...more } });
  expect(supplied.status).toBe(200);
  const ids = supplied.keys.map(({ id }) => id);
  const body = { ...fetchBody(ids, { master_SAE_ID: "app-a1", key_ID_extension: {}, other: null }), note: "x" };
  expect((await ask(network.app("app-b1"), "app-a1/dec_keys", { body })).keys).toEqual(supplied.keys);
});

test("a body on GET is tolerated, and does not count", async () => {
  const body = { number: 3, key_IDs: [] };
  const supplied = await ask(network.app("app-a1"), "app-b1/enc_keys?number=1", { method: "GET", body });
  expect(supplied.keys).toHaveLength(1);
  const id = supplied.keys[0]?.id;
  const fetched = await ask(network.app("app-b1"), `app-a1/dec_keys?key_ID=${id}`, { method: "GET", body });
  expect(fetched.keys).toEqual(supplied.keys);
  expect((await ask(network.app("app-a1"), "app-b1/status", { method: "GET", body })).status).toBe(200);
});

const objectsInToken = (km: Km): number => globSync(join(nodePlaces(km.dir).token, "tokens", "*", "*.object")).length;

test("1,500 keys one by one and there are more; the token has not one object more for them", async () => {
  const objects = network.kms.map(objectsInToken);
  await using ak = await network.app("app-a1").connectAk();
  const keys: SaeKey[] = [];
  for (let hundred = 0; hundred < 15; hundred++) {
    const asked = Array.from({ length: 100 }, () => akSupply(ak, "app-b1", 1, 256));
    keys.push(...(await Promise.all(asked)).flat());
  }
  handedOut.push(...keys);
  for (let at = 0; at < keys.length; at += 500) {
    const some = keys.slice(at, at + 500);
    expect(await network.app("app-b1").decKeys("app-a1", idsOf(some))).toEqual(some);
  }
  expect(await supply("app-a1", "app-b1", 10)).toHaveLength(10);
  expect(network.kms.map(objectsInToken)).toEqual(objects);
});

test("survivor: after kill -9 of one end the other answers from its stock, and the first then has the same bytes", async () => {
  const [a, b] = [network.km("km-a"), network.km("km-b")];
  await network.stocked();
  await b.kill("SIGKILL");
  const alone: SaeKey[] = [];
  for (let asked = 0; asked < 5; asked++) alone.push(...(await supply("app-a1", "app-b1", 20)));
  expect(a.isRunning).toBe(true);
  await b.start();
  const fetched = await network.app("app-b1").decKeys("app-a1", idsOf(alone));
  expect(fetched).toEqual(alone);
  expect(fetched.every(({ key }) => key.length === 32 && !key.equals(Buffer.alloc(32)))).toBe(true);
  await network.stocked();
});

test("IDs and keys never come again, whatever is restarted, and what was fetched stays gone", async () => {
  const [gone] = await supply("app-a1", "app-b1");
  await network.app("app-b1").decKeys("app-a1", [gone?.id ?? ""]);
  await network.km("km-a").kill("SIGTERM");
  await Promise.all([network.km("km-b").kill("SIGKILL"), network.link("ab").kill()]);
  await Promise.all([...network.kms, ...network.links].map((part) => part.start()));
  await network.stocked();
  await supply("app-a1", "app-b1", 300);
  await supply("app-b1", "app-a1", 300);
  expect((await ask(network.app("app-b1"), `app-a1/dec_keys?key_ID=${gone?.id}`)).status).toBe(400);
  expect(new Set(idsOf(handedOut)).size).toBe(handedOut.length);
  expect(new Set(handedOut.map(({ key }) => key.toString("hex"))).size).toBe(handedOut.length);
  expect(Math.max(...idsOf(handedOut).map((id) => placeOf(id).serial))).toBeGreaterThan(1);
});

test("no log has any of these keys, in any spelling, nor a hash of one", () => {
  const needles = spelledNeedles(handedOut);
  for (const { id, logPath } of [...network.kms, ...network.links]) {
    const log = readFileSync(logPath);
    expect(log.length).toBeGreaterThan(0);
    expect(needles.find(log), id).toEqual([]);
  }
});
