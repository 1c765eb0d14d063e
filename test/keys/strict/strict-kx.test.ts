// A strict peer written by hand at the end of a Kx dialogue, with the key manager on the real vault behind it.

import { afterEach, expect, it } from "vitest";
import { appId, kmId } from "../../../src/core/ids.ts";
import { KeyManager } from "../../../src/keys/manager/key-manager.ts";
import { assemble } from "../../../src/keys/manager/parts.ts";
import type { KeyManagerSettings } from "../../../src/keys/manager/settings.ts";
import { KxSession } from "../../../src/kx/session.ts";
import { TestPorts } from "../../kx/fixture.ts";
import { type HandFrame, HandPeer, handFrame } from "../../kx/hand-peer.ts";
import { memoryPair } from "../../kx/memory-channel.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { turnPace } from "../../support/pace.ts";
import { recorder } from "../../support/recorder.ts";
import { until } from "../../support/until.ts";
import { readyBench } from "../../vault/harness.ts";
import { ask, fetchKeys } from "../support/apps.ts";
import { POLICY, QUOTA } from "../support/network.ts";
import { seeded } from "../support/seeded.ts";

const [A, S] = [kmId("km-a"), kmId("km-s")];
const app = (id: string, home: typeof A) => ({ id: appId(id), home, quota: QUOTA });

const SETTINGS: KeyManagerSettings = {
  policy: { ...POLICY, maxHeld: 256 },
  links: [],
  peers: [S],
  apps: [app("app-a1", A), app("app-s1", S)],
  strict: new Map([[S, { fetchApps: [appId("app-a1")] }]]),
};

const opened: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0)) await close();
});

/** km-a, connected to km-s, which is by hand. */
async function together() {
  const clock = new ManualClock();
  const { log, meter } = recorder();
  const ports = { clock, log, meter, pace: turnPace() };
  const bench = await readyBench({ options: { km: A, allowUnlocked: true }, clock, ports });
  const { restored } = await bench.ready;
  const km = await KeyManager.open(
    assemble({ self: A, vault: bench.vault, random: seeded(5), ...ports }, SETTINGS),
    restored,
  );
  const [near, far] = memoryPair(A, S);
  const { buffers } = new TestPorts(clock);
  const options = { self: A, peer: S, dialect: "strict", defaultKeyBits: 256 } as const;
  const session = new KxSession(near, options, { events: km.peerEvents, buffers, ...ports });
  km.peerEvents.connected(session);
  void session.ended.then(() => km.peerEvents.disconnected(session));
  opened.push(async () => {
    session.close("end of test");
    await session.gone;
    await km.stop();
    await bench.close();
  });
  return { km, hand: new HandPeer(far) };
}

interface WireKey {
  readonly key_ID: string;
  readonly key: string;
}

const keysOf = (frame: HandFrame): readonly WireKey[] => frame.json.keys as readonly WireKey[];

it("design 5: keys that we relay are supplied when 0x1102 says success, with request ID or without", async () => {
  const { km, hand } = await together();
  const first = await hand.next(0x1101);
  const requestId = first.json.key_relay_request_ID;
  expect(first.json).toMatchObject({ source_KMA_ID: "km-a", destination_KMA_ID: "km-s" });
  expect(Object.keys(first.json)).toEqual(["source_KMA_ID", "destination_KMA_ID", "keys", "key_relay_request_ID"]);
  expect(keysOf(first)).toHaveLength(64);
  const asked = ask(km, { app: "app-a1", to: "app-s1", count: 2 });
  expect(asked.outcome).toBeUndefined();
  hand.send(handFrame(0x1102, 4_711, { response: "success", key_relay_request_ID: requestId }));
  await until("the keys are supplied", () => asked.outcome === "granted");
  const onWire = new Map(keysOf(first).map(({ key_ID, key }) => [key_ID, key]));
  expect(asked.keys.map(({ id, key }) => onWire.get(id) === key)).toEqual([true, true]);
  const larger = ask(km, { app: "app-a1", to: "app-s1", count: 3, bits: 1_024 });
  const second = await hand.next(0x1101);
  hand.answer(second, 0x1102, { response: "success" });
  await until("larger keys are supplied", () => larger.outcome === "granted");
  expect(larger.keys.map(({ id, key }) => ({ key_ID: id, key }))).toEqual(keysOf(second));
});

it("design 5: keys that it relays are sealed before they are answered, and fetched once", async () => {
  const { km, hand } = await together();
  const keys = [1, 2, 3].map((fill) => ({
    key_ID: `another make's #${fill}`,
    key: Buffer.alloc(32, fill).toString("base64"),
  }));
  const relay = { source_KMA_ID: "km-s", destination_KMA_ID: "km-a", transit_KMA_IDs: [], keys };
  hand.send(handFrame(0x1101, 1, relay));
  expect(await hand.next(0x1102)).toMatchObject({ messageId: 1, json: { response: "success" } });
  const ids = keys.map(({ key_ID }) => key_ID).toReversed();
  const asked = fetchKeys(km, "app-a1", "app-s1", ids);
  await until("the keys are fetched", () => asked.outcome === "granted");
  expect(asked.keys).toEqual(keys.toReversed().map(({ key_ID, key }) => ({ id: key_ID, key })));
  expect(fetchKeys(km, "app-a1", "app-s1", ids.slice(0, 1)).fault?.code).toBe("KEY_NOT_FOUND");
  hand.send(handFrame(0x1101, 2, relay));
  const again = await hand.next(0x1102);
  expect(again.json).toEqual({ response: "SERIAL_SEEN: a key of that ID was accepted before" });
});
