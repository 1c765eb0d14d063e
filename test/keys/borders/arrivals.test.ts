// Keys that come over a border (ETSI GS QKD 020): held under foreign IDs, supplied once, voided, acknowledged until it is heard.

import { describe, expect, it } from "vitest";
import { appId, kmId } from "../../../src/core/ids.ts";
import { fetchKeys } from "../support/apps.ts";
import { arrival, BORDER, BorderScene, CALLBACK, codeOf, foreignId, foreignKey, IN } from "../support/border-scene.ts";

const ID1 = foreignId(1);
const given = (...ids: readonly number[]) => ids.map((n) => ({ id: foreignId(n), key: foreignKey(n) }));
const told = (outcome: string, ...ids: readonly number[]) => ({
  ...IN,
  outcome,
  keyIds: ids.map(foreignId),
  message: "",
});

describe("keys that come over a border", () => {
  it("020: are durable when they are accepted, and acknowledged as relayed", async () => {
    const scene = await BorderScene.up();
    expect(await scene.borders.arrived(BORDER, arrival([1, 2]))).toEqual([]);
    await scene.run(10);
    expect(scene.other.told).toEqual([told("relayed", 1, 2)]);
    expect(scene.borders.sizes).toEqual({ leaving: 0, owed: 0 });
    expect(scene.node.audit.of("border_keys_held", { peer: BORDER, ...IN })[0]?.extent).toEqual({ count: 2 });
    await scene.reboot();
    expect(fetchKeys(scene.node.km, "app-a1", "app-x1", [ID1]).outcome).toBeUndefined();
  });

  it("are supplied to the application that they name, once, under their IDs in whatever case", async () => {
    const scene = await BorderScene.up();
    await scene.borders.arrived(BORDER, arrival([1, 2, 3]));
    const asked = fetchKeys(scene.node.km, "app-a1", "app-x1", [foreignId(2).toUpperCase(), ID1]);
    await scene.run(10);
    expect(asked.keys).toEqual(given(2, 1));
    const again = fetchKeys(scene.node.km, "app-a1", "app-x1", [ID1]);
    const stranger = fetchKeys(scene.node.km, "app-a2", "app-x1", [foreignId(3)]);
    const wrongly = fetchKeys(scene.node.km, "app-a1", "app-y1", [foreignId(3)]);
    const late = fetchKeys(scene.node.km, "app-a1", "app-x1", [foreignId(3)]);
    await scene.run(10);
    expect([again, stranger, wrongly].map(({ fault }) => fault?.code)).toEqual([
      "KEY_NOT_FOUND",
      "NOT_AUTHORIZED",
      "NOT_AUTHORIZED",
    ]);
    expect(late.keys).toEqual(given(3));
    expect(scene.node.vault.leases.blocks).toBe(0);
    expect(scene.node.recorder.count("keys_fetched", { app: "app-a1", door: "ak" })).toBe(3);
  });

  it("of several blocks are had at once, and partly used ones after a restart", async () => {
    const scene = await BorderScene.up({ maxHeld: 1000 });
    const ids = Array.from({ length: 300 }, (_, n) => n + 1);
    await scene.borders.arrived(BORDER, arrival(ids));
    const first = fetchKeys(scene.node.km, "app-a1", "app-x1", ids.slice(100, 200).map(foreignId));
    await scene.run(10);
    await scene.reboot();
    const refused = fetchKeys(scene.node.km, "app-a1", "app-x1", [foreignId(150)]);
    const rest = fetchKeys(scene.node.km, "app-a1", "app-x1", [...ids.slice(0, 100), ...ids.slice(200)].map(foreignId));
    await scene.run(10);
    expect([first.keys.length, refused.fault?.code]).toEqual([100, "KEY_NOT_FOUND"]);
    expect(rest.keys).toEqual(given(...ids.slice(0, 100), ...ids.slice(200)));
  });

  it("020: come again without harm: what is held is relayed, what was supplied is not given twice", async () => {
    const scene = await BorderScene.up();
    await scene.borders.arrived(BORDER, arrival([1]));
    await scene.borders.arrived(BORDER, arrival([1, 2]));
    const asked = fetchKeys(scene.node.km, "app-a1", "app-x1", [ID1]);
    await scene.run(10);
    expect(asked.keys).toEqual(given(1));
    expect(await scene.borders.arrived(BORDER, arrival([1], { callback: undefined }))).toEqual([told("relayed", 1)]);
    await scene.reboot();
    expect(await scene.borders.arrived(BORDER, arrival([1], { callback: undefined }))).toEqual([told("relayed", 1)]);
    const again = fetchKeys(scene.node.km, "app-a1", "app-x1", [ID1]);
    await scene.run(10);
    expect(again.fault?.code).toBe("KEY_NOT_FOUND");
  });

  it.each([
    ["for no application of this network", { target: appId("app-q1") }, "UNKNOWN_APPLICATION"],
    ["for one beyond a border", { target: appId("app-y1") }, "UNKNOWN_APPLICATION"],
    ["from an application of this network", { initiator: appId("app-a2") }, "NOT_ON_ROUTE"],
    ["from one behind another border", { initiator: appId("app-y1") }, "NOT_AUTHORIZED"],
    ["with an ID twice", { keys: [...arrival([1]).keys, ...arrival([1]).keys] }, "MALFORMED_REQUEST"],
    ["that are no base64", { keys: [{ keyId: ID1, letters: Buffer.from("AA=A") }] }, "MALFORMED_REQUEST"],
    ["that are too long", { keys: [{ keyId: ID1, letters: Buffer.alloc(5460, "A") }] }, "KEY_SIZE_INVALID"],
  ])("%s are refused, and nothing is kept", async (_, more, code) => {
    const scene = await BorderScene.up();
    expect(await codeOf(scene.borders.arrived(BORDER, arrival([1], more)))).toBe(code);
    await scene.run(10);
    expect([scene.other.told, [...scene.node.machine.rows.keys()].filter((key) => key.startsWith("border"))]).toEqual([
      [],
      [],
    ]);
  });

  it("020: keep their path: the same ID for other applications is refused, and the first stays", async () => {
    const scene = await BorderScene.up();
    await scene.borders.arrived(BORDER, arrival([1]));
    const other = arrival([1], { target: appId("app-a2") });
    expect(await codeOf(scene.borders.arrived(BORDER, other))).toBe("KEY_ID_TAKEN");
    expect(scene.node.recorder.count("alarms", { alarm: "border_key_differs" })).toBe(1);
    expect(await scene.borders.voided(BORDER, { ...other, keyIds: [ID1], callback: undefined })).toEqual([
      { ...told("key not present", 1), target: "app-a2" },
    ]);
    const asked = fetchKeys(scene.node.km, "app-a1", "app-x1", [ID1]);
    await scene.run(10);
    expect(asked.keys).toEqual(given(1));
  });

  it("that come again with another value are refused with an alarm, whatever comes with them; the first stays", async () => {
    const scene = await BorderScene.up();
    const other = (n: number, value: number) => ({ keyId: foreignId(n), letters: Buffer.from(foreignKey(value)) });
    await scene.borders.arrived(BORDER, arrival([1, 2]));
    const before = [...scene.node.machine.rows.keys()];
    for (const keys of [[other(2, 7)], [...arrival([1]).keys, other(2, 7)], [other(3, 3), other(2, 7)]]) {
      expect(await codeOf(scene.borders.arrived(BORDER, arrival([], { keys })))).toBe("KEY_ID_TAKEN");
    }
    const short = { keyId: ID1, letters: Buffer.alloc(16, 1).toString("base64") };
    const shorter = [{ ...short, letters: Buffer.from(short.letters) }];
    expect(await codeOf(scene.borders.arrived(BORDER, arrival([], { keys: shorter })))).toBe("KEY_ID_TAKEN");
    await scene.run(10);
    expect(scene.node.recorder.count("alarms", { alarm: "border_key_differs" })).toBe(4);
    expect([scene.node.vault.leases.blocks, scene.scratch.every((byte) => byte === 0)]).toEqual([0, true]);
    expect([...scene.node.machine.rows.keys()].filter((key) => !before.includes(key))).toEqual([]);
    const asked = fetchKeys(scene.node.km, "app-a1", "app-x1", [ID1, foreignId(2)]);
    await scene.run(10);
    expect(asked.keys).toEqual(given(1, 2));
    // Of what was fetched nothing is left to compare: it is relayed, and given to nobody again.
    expect(await codeOf(scene.borders.arrived(BORDER, arrival([], { keys: [other(2, 7)] })))).toBe("success");
  });

  it("are as many as may be held; the next are refused until there is room", async () => {
    const scene = await BorderScene.up({ maxHeld: 4 });
    await scene.borders.arrived(BORDER, arrival([1, 2, 3]));
    expect(await codeOf(scene.borders.arrived(BORDER, arrival([4, 5])))).toBe("STORE_FULL");
    fetchKeys(scene.node.km, "app-a1", "app-x1", [1, 2, 3].map(foreignId));
    await scene.run(10);
    expect(await codeOf(scene.borders.arrived(BORDER, arrival([4, 5])))).toBe("success");
  });

  it("end when they are too old, with their names", async () => {
    const scene = await BorderScene.up({ maxAgeMs: 10_000, fetchWindowMs: 1000 });
    await scene.borders.arrived(BORDER, arrival([1]));
    await scene.run(12_500);
    const asked = fetchKeys(scene.node.km, "app-a1", "app-x1", [ID1]);
    expect(asked.fault?.code).toBe("KEY_NOT_FOUND");
    expect(scene.node.recorder.count("kma_keys_ended", { peer: BORDER, reason: "expired" })).toBe(1);
    await scene.run(12_500);
    expect([...scene.node.machine.rows.keys()].filter((key) => key.startsWith("border"))).toEqual([]);
    expect([...scene.node.machine.records.keys()].filter((key) => key.includes("border"))).toEqual([]);
  });

  it("of two networks under one ID are kept apart", async () => {
    const scene = await BorderScene.up();
    const other = { initiator: appId("app-y1") };
    await scene.borders.arrived(kmId("kme-y"), arrival([1], { ...other, keys: arrival([1]).keys }));
    await scene.borders.arrived(BORDER, {
      ...arrival([1]),
      keys: [{ keyId: ID1, letters: arrival([2]).keys[0]?.letters ?? new Uint8Array() }],
    });
    const [x, y] = ["app-x1", "app-y1"].map((from) => fetchKeys(scene.node.km, "app-a1", from, [ID1]));
    await scene.run(10);
    expect([x?.keys, y?.keys]).toEqual([[{ id: ID1, key: foreignKey(2) }], given(1)]);
  });

  it("from a border that is none are refused", async () => {
    const scene = await BorderScene.up();
    expect(await codeOf(scene.borders.arrived(kmId("kme-z"), arrival([1])))).toBe("NOT_AUTHORIZED");
  });
});

describe("a void", () => {
  it("020: destroys a key that was not fetched, and fails for one that was", async () => {
    const scene = await BorderScene.up();
    await scene.borders.arrived(BORDER, arrival([1, 2]));
    const asked = fetchKeys(scene.node.km, "app-a1", "app-x1", [ID1]);
    await scene.run(10);
    const keyIds = [1, 2].map(foreignId);
    for (let time = 0; time < 2; time++) {
      expect(await scene.borders.voided(BORDER, { ...IN, keyIds, callback: undefined })).toEqual([
        told("failed to void", 1),
        told("voided", 2),
      ]);
      await scene.reboot();
    }
    const late = fetchKeys(scene.node.km, "app-a1", "app-x1", [foreignId(2)]);
    await scene.run(10);
    expect([asked.keys, late.fault?.code]).toEqual([given(1), "KEY_NOT_FOUND"]);
    expect([...scene.node.machine.records.keys()].filter((key) => key.includes("border"))).toEqual([]);
  });

  it("020: of an unknown key leaves a tombstone, and a transfer that comes late revives nothing", async () => {
    const scene = await BorderScene.up();
    await scene.borders.voided(BORDER, { ...IN, keyIds: [ID1], callback: CALLBACK });
    await scene.run(10);
    await scene.reboot();
    expect(await scene.borders.arrived(BORDER, arrival([1, 2]))).toEqual([]);
    await scene.run(10);
    expect(scene.other.told).toEqual([told("key not present", 1), told("failed", 1), told("relayed", 2)]);
    const asked = fetchKeys(scene.node.km, "app-a1", "app-x1", [ID1]);
    expect(asked.fault?.code).toBe("KEY_NOT_FOUND");
  });

  it("020: of all keys between two applications leaves those of others", async () => {
    const scene = await BorderScene.up();
    const other = { target: appId("app-a2") };
    await scene.borders.arrived(BORDER, arrival([1, 2]));
    await scene.borders.arrived(BORDER, arrival([3], other));
    const all = { ...IN, keyIds: [], callback: undefined };
    expect(await scene.borders.voided(BORDER, all)).toEqual([told("voided", 1, 2)]);
    expect(await scene.borders.voided(BORDER, all)).toEqual([told("voided")]);
    const asked = fetchKeys(scene.node.km, "app-a2", "app-x1", [foreignId(3)]);
    await scene.run(10);
    expect(asked.keys).toEqual(given(3));
  });

  it("020: tells of at most 1,024 keys in one container", async () => {
    const scene = await BorderScene.up({ maxHeld: 3000 });
    const ids = Array.from({ length: 1500 }, (_, n) => n + 1);
    for (let at = 0; at < 1500; at += 500) await scene.borders.arrived(BORDER, arrival(ids.slice(at, at + 500)));
    const acks = await scene.borders.voided(BORDER, { ...IN, keyIds: [], callback: undefined });
    expect(acks.map(({ outcome, keyIds }) => [outcome, keyIds.length])).toEqual([
      ["voided", 1024],
      ["voided", 476],
    ]);
    expect(new Set(acks.flatMap(({ keyIds }) => keyIds)).size).toBe(1500);
  });

  it("that comes while its key is being fetched fails", async () => {
    const scene = await BorderScene.up();
    await scene.borders.arrived(BORDER, arrival([1]));
    const asked = fetchKeys(scene.node.km, "app-a1", "app-x1", [ID1]);
    const acks = await scene.borders.voided(BORDER, { ...IN, keyIds: [ID1], callback: undefined });
    await scene.run(10);
    expect([acks, asked.keys]).toEqual([[told("failed to void", 1)], given(1)]);
  });
});

describe("an acknowledgement", () => {
  it("020: is told again until it is heard, over a restart too", async () => {
    const scene = await BorderScene.up();
    scene.other.always = "unsent";
    await scene.borders.arrived(BORDER, arrival([1]));
    await scene.run(3500);
    expect(scene.other.asked).toEqual(["ack", "ack", "ack"]);
    await scene.reboot();
    expect(scene.other.asked).toHaveLength(4);
    scene.other.always = "lost";
    await scene.run(1500);
    scene.other.always = undefined;
    await scene.run(2500);
    expect([scene.other.told, scene.borders.sizes.owed]).toEqual([[told("relayed", 1), told("relayed", 1)], 0]);
    await scene.reboot();
    expect(scene.other.asked).toHaveLength(6);
  });

  it("that is refused is not told again", async () => {
    const scene = await BorderScene.up();
    scene.other.always = "refused";
    await scene.borders.arrived(BORDER, arrival([1]));
    await scene.run(100_000);
    expect([scene.other.asked, scene.borders.sizes.owed]).toEqual([["ack"], 0]);
  });
});

describe("a crash", () => {
  const CASES = [1, 2, 3, 4, 5].flatMap((nth) =>
    (["crash, lost", "crash, kept", "rejected, lost", "rejected, kept"] as const).map((fate) => [nth, fate] as const),
  );

  it.each(CASES)("at commit %i (%s) loses no key that was accepted, and gives none twice", async (nth, fate) => {
    const scene = await BorderScene.up();
    const { machine } = scene.node;
    const before = machine.commits;
    let made = 0;
    machine.fate = () => (++made === nth ? fate : "durable");
    let isAccepted = false;
    void scene.borders.arrived(BORDER, arrival([1, 2])).then(
      () => {
        isAccepted = true;
      },
      () => {},
    );
    await scene.run(10);
    const early = scene.node.crashed ? undefined : fetchKeys(scene.node.km, "app-a1", "app-x1", [ID1]);
    await scene.run(10);
    expect(machine.commits).toBeGreaterThanOrEqual(before);
    machine.fate = () => "durable";
    await scene.reboot();
    if (!isAccepted) {
      // The other end sends again.
      await scene.borders.arrived(BORDER, arrival([1, 2]));
      isAccepted = true;
    }
    const [first, second] = [ID1, foreignId(2)].map((id) => fetchKeys(scene.node.km, "app-a1", "app-x1", [id]));
    await scene.run(10);
    const had = (early?.keys.length ?? 0) + (first?.keys.length ?? 0);
    expect(had).toBeLessThanOrEqual(1);
    // A key whose fetch was cut off counts as fetched where its mark was kept.
    if (early === undefined) expect(first?.keys).toEqual(given(1));
    expect(second?.keys).toEqual(given(2));
    await scene.run(5000);
    expect(scene.other.told.some(({ outcome, keyIds }) => outcome === "relayed" && keyIds.includes(ID1))).toBe(true);
  });

  it("of a store that is restored from a copy destroys what came, and does not take it again", async () => {
    const scene = await BorderScene.up();
    await scene.borders.arrived(BORDER, arrival([1]));
    const copy = scene.node.machine.copy();
    fetchKeys(scene.node.km, "app-a1", "app-x1", [ID1]);
    await scene.run(10);
    scene.node.crash();
    scene.node.machine.restore(copy);
    await scene.boot(true);
    await scene.borders.arrived(BORDER, arrival([1]));
    const asked = fetchKeys(scene.node.km, "app-a1", "app-x1", [ID1]);
    await scene.run(10);
    expect(asked.fault?.code).toBe("KEY_NOT_FOUND");
  });
});
