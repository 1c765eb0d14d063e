// Keys that cross a border for applications whose home is another KM: handed on under a pad, or named by their home; once.

import { describe, expect, it } from "vitest";
import { appId } from "../../../src/core/ids.ts";
import { ask } from "../support/apps.ts";
import { BorderMesh, INWARD, inward, OUTWARD } from "../support/border-mesh.ts";
import { BORDER, CALLBACK, codeOf, foreignId, foreignKey } from "../support/border-scene.ts";
import { emittedTwice } from "../support/ledger.ts";

const given = (...ids: readonly number[]) => ids.map((n) => ({ id: foreignId(n), key: foreignKey(n) }));
const told = (outcome: string, ...ids: readonly number[]) => ({
  ...INWARD,
  outcome,
  keyIds: ids.map(foreignId),
  message: "",
});
const NOTHING = { rows: [], records: [] };

function expectSound({ mesh }: BorderMesh): void {
  for (const node of mesh.nodes.values()) {
    expect(emittedTwice(node)).toEqual([]);
    expect(node.vault.leases.blocks).toBe(0);
  }
}

describe("keys that come over a border for an application at home at another KM", () => {
  it("020: are held there when they are accepted, under their IDs, and nothing of them stays at the border", async () => {
    const all = await BorderMesh.up();
    expect(await all.while(all.borders.arrived(BORDER, inward([1, 2])))).toEqual([told("relayed", 1, 2)]);
    expect(all.left("b")).toEqual(NOTHING);
    expect(all.left("a").records).toHaveLength(1);
    const crossed = JSON.stringify(all.mesh.crossings("a", "b"));
    expect([crossed.includes(foreignId(1)), crossed.includes(foreignKey(1).slice(0, 20))]).toEqual([true, false]);
    expect((await all.fetched("app-a2", 1)).fault?.code).toBe("NOT_AUTHORIZED");
    expect((await all.fetched("app-a", 2, 1)).keys).toEqual(given(2, 1));
    expect((await all.fetched("app-a", 1)).fault?.code).toBe("KEY_NOT_FOUND");
    expect(all.mesh.node("a").audit.of("border_keys_held", { peer: "km-b/kme-x", ...INWARD })).toHaveLength(1);
    expectSound(all);
  });

  it("go to each KM of the network, in several blocks, and are there after its restart", async () => {
    const all = await BorderMesh.up();
    const ids = Array.from({ length: 300 }, (_, n) => n + 1);
    const target = appId("app-c");
    const acks = await all.while(all.borders.arrived(BORDER, inward(ids, { target })), 2000);
    expect(acks.flatMap(({ outcome, keyIds }) => keyIds.map(() => outcome))).toEqual(ids.map(() => "relayed"));
    await all.reboot("c");
    expect((await all.fetched("app-c", ...ids.slice(0, 200))).keys).toEqual(given(...ids.slice(0, 200)));
    expect((await all.fetched("app-c", ...ids.slice(200))).keys).toEqual(given(...ids.slice(200)));
    expect(all.left("b")).toEqual(NOTHING);
    expectSound(all);
  });

  it("020: are acknowledged to the callback when they are held there, over a restart of the border", async () => {
    const all = await BorderMesh.up();
    all.other.always = "unsent";
    expect(await all.while(all.borders.arrived(BORDER, inward([1], { callback: CALLBACK })))).toEqual([]);
    all.other.always = undefined;
    await all.reboot("b");
    expect(all.other.told).toEqual([told("relayed", 1)]);
    expect((await all.fetched("app-a", 1)).keys).toEqual(given(1));
  });

  it("are refused while that KM cannot be reached, and taken when it can", async () => {
    const all = await BorderMesh.up();
    all.mesh.wire("a", "b").cut();
    expect(await codeOf(all.while(all.borders.arrived(BORDER, inward([1]))))).toBe("PEER_UNAVAILABLE");
    expect(all.left("b")).toEqual(NOTHING);
    all.mesh.connect();
    await all.run(500);
    expect(await all.while(all.borders.arrived(BORDER, inward([1])))).toEqual([told("relayed", 1)]);
    expectSound(all);
  });

  it.each([
    ["the question", "km-b"],
    ["the answer", "km-a"],
  ])("come again when %s was lost, and are the same, once", async (_, from) => {
    const all = await BorderMesh.up();
    let lost = 0;
    all.mesh.wire("a", "b").lose = (crossing) =>
      crossing.from === from &&
      (from === "km-b"
        ? crossing.kind === "tell" && crossing.entries.some(({ name }) => name === "qkm_border_keys")
        : crossing.kind === "tell" && crossing.entries.some(({ name }) => name === "qkm_border_outcome")) &&
      ++lost === 1;
    expect(await codeOf(all.while(all.borders.arrived(BORDER, inward([1])), 10_000))).toBe("PEER_UNAVAILABLE");
    expect(lost).toBe(1);
    for (let time = 0; time < 2; time++) {
      expect(await all.while(all.borders.arrived(BORDER, inward([1])))).toEqual([told("relayed", 1)]);
    }
    expect((await all.fetched("app-a", 1)).keys).toEqual(given(1));
    expect(await all.while(all.borders.arrived(BORDER, inward([1])))).toEqual([told("relayed", 1)]);
    expect((await all.fetched("app-a", 1)).fault?.code).toBe("KEY_NOT_FOUND");
    expect(all.left("b")).toEqual(NOTHING);
    expectSound(all);
  });

  it("with another value under the same ID are refused by that KM, with its alarm, and the first stays", async () => {
    const all = await BorderMesh.up();
    await all.while(all.borders.arrived(BORDER, inward([1])));
    const keys = [{ keyId: foreignId(1), letters: Buffer.from(foreignKey(9)) }];
    expect(await codeOf(all.while(all.borders.arrived(BORDER, inward([], { keys }))))).toBe("KEY_ID_TAKEN");
    expect(all.mesh.node("a").recorder.count("alarms", { alarm: "border_key_differs" })).toBe(1);
    expect((await all.fetched("app-a", 1)).keys).toEqual(given(1));
  });

  it("020: are voided there; a void of unknown keys leaves its tombstone there", async () => {
    const all = await BorderMesh.up();
    await all.while(all.borders.arrived(BORDER, inward([1, 2])));
    await all.fetched("app-a", 1);
    const voided = { ...INWARD, keyIds: [1, 2, 3].map(foreignId), callback: undefined };
    expect(await all.while(all.borders.voided(BORDER, voided))).toEqual([
      told("failed to void", 1),
      told("voided", 2),
      told("key not present", 3),
    ]);
    expect((await all.fetched("app-a", 2)).fault?.code).toBe("KEY_NOT_FOUND");
    await all.reboot("a");
    expect(await all.while(all.borders.arrived(BORDER, inward([3, 4])))).toEqual([
      told("failed", 3),
      told("relayed", 4),
    ]);
    const rest = { ...INWARD, keyIds: [], callback: undefined };
    expect(await all.while(all.borders.voided(BORDER, rest))).toEqual([told("voided", 4)]);
    expect(all.left("b")).toEqual(NOTHING);
  });

  it("from a KM that has no such border, or for an application that is elsewhere, are refused", async () => {
    const all = await BorderMesh.up();
    const entry = {
      ...{ name: "qkm_border_void", of: "1", border: BORDER },
      ...{ initiator: "app-x1", target: "app-a", key_IDs: [foreignId(1)] },
    };
    expect(await codeOf(all.while(all.tell("c", "a", entry)))).toBe("NOT_AUTHORIZED");
    expect(await codeOf(all.while(all.tell("b", "a", { ...entry, initiator: "app-c" })))).toBe("NOT_AUTHORIZED");
    expect(await codeOf(all.while(all.tell("b", "a", { ...entry, target: "app-c" })))).toBe("NOT_AT_HOME");
    expect(await codeOf(all.while(all.tell("b", "a", { ...entry, key_IDs: ["x"] })))).toBe("MALFORMED_REQUEST");
    const answer = { name: "qkm_border_outcome", of: "1", outcome: "relayed", key_IDs: [foreignId(1)] };
    expect(await codeOf(all.while(all.tell("a", "b", answer)))).toBe("NOT_AUTHORIZED");
    expect([all.left("a"), all.left("b")]).toEqual([NOTHING, NOTHING]);
  });
});

describe("a crash while keys are handed on", () => {
  const FATES = ["crash, lost", "crash, kept", "rejected, lost", "rejected, kept"] as const;
  const CASES = ["a", "b"].flatMap((at) =>
    [1, 2, 3, 4].flatMap((nth) => FATES.map((fate) => [at, nth, fate] as const)),
  );

  it.each(CASES)(
    "of km-%s at commit %i (%s) loses none that was accepted, and gives none twice",
    async (at, nth, fate) => {
      const all = await BorderMesh.up();
      const { machine } = all.mesh.node(at);
      let made = 0;
      machine.fate = () => (++made === nth ? fate : "durable");
      const accepted = all.borders.arrived(BORDER, inward([1, 2])).then(
        () => true,
        () => false,
      );
      await all.run(10_000);
      machine.fate = () => "durable";
      await all.reboot(at);
      await all.run(2000);
      const isAccepted = await Promise.race([accepted, Promise.resolve(false)]);
      // The other network sends again until it is answered.
      if (!isAccepted)
        expect(await all.while(all.borders.arrived(BORDER, inward([1, 2])), 3000)).toEqual([told("relayed", 1, 2)]);
      expect((await all.fetched("app-a", 1, 2)).keys).toEqual(given(1, 2));
      expect((await all.fetched("app-a", 1)).fault?.code).toBe("KEY_NOT_FOUND");
      expect(all.left("b")).toEqual(NOTHING);
      expectSound(all);
    },
  );
});

describe("keys that leave over the border of another KM", () => {
  const leave = (all: BorderMesh, count = 1) => ask(all.mesh.node("a").km, { app: "app-a", to: "app-x1", count });

  it("020: are supplied when the other network has relayed them; no key crosses between the two KMs", async () => {
    const all = await BorderMesh.up();
    const asked = leave(all, 3);
    await all.run(200);
    expect([asked.outcome, all.other.keys.size]).toEqual([undefined, 3]);
    await all.acknowledge("relayed");
    expect(asked.keys).toHaveLength(3);
    for (const { id, key } of asked.keys) expect(all.other.keys.get(id)).toBe(key);
    const crossed = JSON.stringify(all.mesh.crossings("a", "b"));
    for (const { key } of asked.keys) expect(crossed.includes(key.slice(0, 20))).toBe(false);
    expect([all.left("a"), all.left("b"), all.borders.sizes.leaving]).toEqual([NOTHING, NOTHING, 0]);
    expectSound(all);
  });

  it("that are refused there are given to nobody", async () => {
    const all = await BorderMesh.up();
    all.other.faults = ["refused"];
    const asked = leave(all);
    await all.run(500);
    expect([asked.fault?.code, asked.answers, all.left("b")]).toEqual(["BORDER_REFUSED", 1, NOTHING]);
    expectSound(all);
  });

  it.each([
    ["its application gives up", (_: BorderMesh, asked: ReturnType<typeof leave>) => asked.cancel()],
    ["the connection of the two KMs is lost", (all: BorderMesh) => all.mesh.wire("a", "b").cut()],
    ["its KM crashes", (all: BorderMesh) => all.mesh.crash("a")],
  ])("are void when %s", async (_, happens) => {
    const all = await BorderMesh.up();
    const asked = leave(all);
    await all.run(200);
    expect(all.other.asked).toEqual(["send"]);
    happens(all, asked);
    await all.run(500);
    expect([all.other.asked, asked.keys]).toEqual([["send", "void"], []]);
    await all.acknowledge("voided", [...all.other.voided]);
    expect([all.other.keys.size, all.left("b"), all.borders.sizes.leaving]).toEqual([0, NOTHING, 0]);
  });

  it("are void although they have arrived, when the word of it was lost", async () => {
    const all = await BorderMesh.up();
    const wire = all.mesh.wire("a", "b");
    const asked = leave(all);
    await all.run(200);
    wire.lose = ({ from, kind }) => from === "km-b" && kind === "told";
    await all.acknowledge("relayed");
    wire.lose = () => false;
    expect([asked.outcome, all.other.keys.size]).toEqual([undefined, 1]);
    all.other.isSynchronous = true;
    await all.run(29_000);
    expect(asked.outcome).toBeUndefined();
    await all.run(5000);
    expect([asked.fault?.code, all.other.asked, all.other.keys.size]).toEqual([
      "PEER_UNAVAILABLE",
      ["send", "void"],
      0,
    ]);
    expect([all.left("b"), all.borders.sizes.leaving]).toEqual([NOTHING, 0]);
    expectSound(all);
  });

  it("leave once, for who is at home where they are asked, and over a border that is there", async () => {
    const all = await BorderMesh.up();
    all.other.isSynchronous = true;
    const asked = leave(all);
    await all.run(500);
    const entry = { name: "qkm_border_leave", ...OUTWARD, key_IDs: asked.keys.map(({ id }) => id) };
    expect(await codeOf(all.while(all.tell("a", "b", entry)))).toBe("KEY_NOT_FOUND");
    expect(await codeOf(all.while(all.tell("c", "b", entry)))).toBe("NOT_AUTHORIZED");
    expect(await codeOf(all.while(all.tell("b", "a", { ...entry, initiator: "app-b" })))).toBe("NO_ROUTE");
    const revoked = { ...entry, name: "qkm_border_revoke" };
    expect(await codeOf(all.while(all.tell("c", "b", revoked)))).toBe("NOT_AUTHORIZED");
    expect(all.other.asked).toEqual(["send"]);
  });

  it("need the KM at the border to be there", async () => {
    const all = await BorderMesh.up();
    all.mesh.wire("a", "b").cut();
    const asked = leave(all);
    await all.run(100);
    expect(asked.fault?.code).toBe("PEER_UNAVAILABLE");
    expectSound(all);
  });
});
