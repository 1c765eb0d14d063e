// Keys that leave over a border (ETSI GS QKD 020): supplied only when they are relayed, destroyed here then, void otherwise.

import { describe, expect, it } from "vitest";
import { ask } from "../support/apps.ts";
import { arrival, BORDER, BorderScene, codeOf, foreignId, OUT, TIMEOUT_MS } from "../support/border-scene.ts";

const bordersIn = (scene: BorderScene) => ({
  rows: [...scene.node.machine.rows.keys()].filter((key) => key.startsWith("border")),
  records: [...scene.node.machine.records.keys()].filter((key) => key.includes("border")),
});
const NOTHING = { rows: [], records: [] };

const outcome = ({ keys, fault }: ReturnType<typeof ask>): unknown => fault?.code ?? keys.length;

describe("keys that leave over a border", () => {
  it("020: are supplied when the other network has relayed them, and destroyed here", async () => {
    const scene = await BorderScene.up();
    const asked = ask(scene.node.km, { app: "app-a1", to: "app-x1", count: 3 });
    await scene.run(100);
    expect([asked.outcome, scene.other.keys.size, bordersIn(scene).records.length]).toEqual([undefined, 3, 1]);
    await scene.acknowledge("relayed");
    expect(asked.keys).toHaveLength(3);
    for (const { id, key } of asked.keys) expect(scene.other.keys.get(id)).toBe(key);
    expect([bordersIn(scene), scene.borders.sizes.leaving]).toEqual([NOTHING, 0]);
    expect(scene.node.audit.of("border_keys_sent", { peer: BORDER, ...OUT })).toHaveLength(1);
    expect(scene.node.audit.of("border_keys_left", { outcome: "relayed" })[0]?.extent).toEqual({ count: 3 });
    expect([scene.node.vault.leases.blocks, scene.scratch.every((byte) => byte === 0)]).toEqual([0, true]);
    expect(scene.clock.waiting).toBeLessThanOrEqual(2);
  });

  it("020: in the synchronous mode are supplied with the answer", async () => {
    const scene = await BorderScene.up();
    scene.other.isSynchronous = true;
    const asked = ask(scene.node.km, { app: "app-a1", to: "app-x1" });
    await scene.run(100);
    expect([outcome(asked), bordersIn(scene)]).toEqual([1, NOTHING]);
  });

  it("020: may be acknowledged in parts, mixed with others, and twice", async () => {
    const scene = await BorderScene.up();
    const one = ask(scene.node.km, { app: "app-a1", to: "app-x1", count: 2 });
    const other = ask(scene.node.km, { app: "app-a2", to: "app-x1" });
    await scene.run(100);
    const all = [...scene.other.keys.keys()];
    const ack = (initiator: "app-a1" | "app-a2", keyIds: readonly string[]) => ({
      ...{ ...OUT, initiator: OUT.initiator === initiator ? OUT.initiator : (initiator as typeof OUT.initiator) },
      ...{ outcome: "relayed" as const, message: "", keyIds },
    });
    expect(await codeOf(scene.borders.acknowledged(BORDER, [ack("app-a1", all.slice(0, 1))]))).toBe("success");
    await scene.run(10);
    expect(one.outcome).toBeUndefined();
    const rest = [ack("app-a1", all.slice(1, 2)), ack("app-a2", all.slice(2))];
    expect(await codeOf(scene.borders.acknowledged(BORDER, rest))).toBe("success");
    await scene.run(10);
    expect([outcome(one), outcome(other)]).toEqual([2, 1]);
    expect(await codeOf(scene.borders.acknowledged(BORDER, rest))).toBe("success");
    expect(await codeOf(scene.borders.acknowledged(BORDER, [ack("app-a1", [foreignId(9)])]))).toBe("KEY_NOT_FOUND");
  });

  it.each([
    ["the other network was not reached", ["unsent", "unsent"]],
    ["answers were lost", ["lost", "lost"]],
  ] as const)("are sent again when %s, the same under the same IDs", async (_, faults) => {
    const scene = await BorderScene.up();
    scene.other.faults = [...faults];
    const asked = ask(scene.node.km, { app: "app-a1", to: "app-x1" });
    await scene.run(1000);
    expect(scene.other.asked).toEqual(["send", "send", "send"]);
    await scene.acknowledge("relayed");
    const [key] = asked.keys;
    expect([asked.keys.length, scene.other.keys.size]).toEqual([1, 1]);
    expect(scene.other.keys.get(key?.id ?? "")).toBe(key?.key);
  });

  it("020: that are refused (400, 401) are destroyed; nothing is to be voided", async () => {
    const scene = await BorderScene.up();
    scene.other.faults = ["refused"];
    const asked = ask(scene.node.km, { app: "app-a1", to: "app-x1" });
    await scene.run(10_000);
    expect([outcome(asked), scene.other.asked, bordersIn(scene)]).toEqual(["BORDER_REFUSED", ["send"], NOTHING]);
  });

  it("020: that may be there and are refused then are voided", async () => {
    const scene = await BorderScene.up();
    scene.other.faults = ["lost", "refused"];
    const asked = ask(scene.node.km, { app: "app-a1", to: "app-x1" });
    await scene.run(1000);
    expect([outcome(asked), scene.other.asked.slice(0, 3)]).toEqual(["BORDER_REFUSED", ["send", "send", "void"]]);
    await scene.acknowledge("voided", [...scene.other.voided]);
    expect([bordersIn(scene), scene.borders.sizes.leaving]).toEqual([NOTHING, 0]);
  });

  it.each(["failed", "voided"] as const)("that are acknowledged as %s are supplied to nobody", async (told) => {
    const scene = await BorderScene.up();
    const asked = ask(scene.node.km, { app: "app-a1", to: "app-x1", count: 2 });
    await scene.run(100);
    const ids = [...scene.other.keys.keys()];
    await scene.acknowledge("relayed", ids.slice(0, 1));
    await scene.acknowledge(told, ids.slice(1));
    expect([outcome(asked), scene.other.asked]).toEqual(["BORDER_REFUSED", ["send", "void"]]);
    await scene.acknowledge("voided", ids);
    expect([scene.other.keys.size, bordersIn(scene)]).toEqual([0, NOTHING]);
  });

  it("that nobody acknowledges in time are voided until that is heard", async () => {
    const scene = await BorderScene.up();
    const asked = ask(scene.node.km, { app: "app-a1", to: "app-x1" });
    await scene.run(TIMEOUT_MS + 10);
    expect([outcome(asked), scene.other.asked]).toEqual(["PEER_UNAVAILABLE", ["send", "void"]]);
    expect(bordersIn(scene)).toMatchObject({ rows: [expect.anything()], records: [] });
    // The late word of the transfer changes nothing.
    const ids = [...scene.other.voided];
    await scene.acknowledge("relayed", ids);
    scene.other.always = "lost";
    await scene.run(4000);
    expect(scene.other.asked).toEqual(["send", "void", "void", "void"]);
    scene.other.always = undefined;
    scene.other.isSynchronous = true;
    await scene.run(5000);
    expect([bordersIn(scene), scene.other.asked.length]).toEqual([NOTHING, 5]);
    expect(scene.node.audit.of("border_keys_voided", { direction: "out", outcome: "voided" })).toHaveLength(1);
  });

  it("that the application does not want any more are voided, and their late relay gives nothing", async () => {
    const scene = await BorderScene.up();
    const asked = ask(scene.node.km, { app: "app-a1", to: "app-x1" });
    await scene.run(100);
    asked.cancel();
    await scene.run(100);
    await scene.acknowledge("relayed", [...scene.other.voided]);
    expect([asked.answers, scene.other.asked, scene.node.vault.leases.blocks]).toEqual([0, ["send", "void"], 0]);
    expect(scene.node.recorder.count("keys_undelivered")).toBe(1);
  });

  it("are never more than asked for, whatever the size", async () => {
    const scene = await BorderScene.up();
    scene.other.isSynchronous = true;
    const asked = [
      ask(scene.node.km, { app: "app-a1", to: "app-x1", count: 2, bits: 8 * 3000 }),
      ask(scene.node.km, { app: "app-a1", to: "app-x1", count: 100, bits: 64 }),
    ];
    await scene.run(2000);
    expect(asked.map(outcome)).toEqual([2, 100]);
    for (const { id, key } of asked.flatMap(({ keys }) => keys)) expect(scene.other.keys.get(id)).toBe(key);
  });

  it("of one request that lie in several blocks are all supplied or none: those that arrived are voided too", async () => {
    const scene = await BorderScene.up();
    const asked = ask(scene.node.km, { app: "app-a1", to: "app-x1", count: 2, bits: 8 * 3000 });
    await scene.run(100);
    const ids = [...scene.other.keys.keys()];
    expect(scene.other.asked).toEqual(["send", "send"]);
    await scene.acknowledge("relayed", ids.slice(0, 1));
    await scene.acknowledge("failed", ids.slice(1));
    expect([outcome(asked), scene.other.voided]).toEqual(["BORDER_REFUSED", new Set(ids)]);
    await scene.acknowledge("voided", ids);
    expect([scene.other.keys.size, bordersIn(scene)]).toEqual([0, NOTHING]);
  });

  it("are voided although another word comes with the answer", async () => {
    const scene = await BorderScene.up();
    scene.other.faults = ["lost", "refused"];
    ask(scene.node.km, { app: "app-a1", to: "app-x1" });
    await scene.run(500);
    const ids = [...scene.other.voided];
    expect(
      await codeOf(
        scene.borders.acknowledged(BORDER, [
          { ...OUT, outcome: "voided", message: "", keyIds: [...ids, foreignId(9)] },
        ]),
      ),
    ).toBe("KEY_NOT_FOUND");
    expect([ids.length, bordersIn(scene)]).toEqual([1, NOTHING]);
  });

  it("of too many requests at a time are asked for again later", async () => {
    const scene = await BorderScene.up();
    const asked = Array.from({ length: 70 }, () => ask(scene.node.km, { app: "app-a1", to: "app-x1" }));
    await scene.run(100);
    expect(asked.filter(({ fault }) => fault?.code === "BUSY")).toHaveLength(6);
    await scene.acknowledge("relayed");
    expect(asked.filter(({ keys }) => keys.length === 1)).toHaveLength(64);
    expect(scene.node.vault.leases.blocks).toBe(0);
  });

  it("need the border to be there", async () => {
    const scene = await BorderScene.up();
    expect(outcome(ask(scene.node.km, { app: "app-a1", to: "app-q1" }))).toBe("UNKNOWN_APPLICATION");
    scene.node.crash();
    await scene.node.boot();
    expect(outcome(ask(scene.node.km, { app: "app-a1", to: "app-x1" }))).toBe("NO_ROUTE");
  });
});

describe("an application of another network", () => {
  it("cannot come here", async () => {
    const scene = await BorderScene.up();
    expect(outcome(ask(scene.node.km, { app: "app-x1", to: "app-a1" }))).toBe("NOT_AT_HOME");
    expect(scene.node.parts.apps.isHomed("app-x1")).toBe(false);
  });
});

describe("a crash", () => {
  const FATES = ["crash, lost", "crash, kept", "rejected, lost", "rejected, kept"] as const;

  it.each([1, 2, 3, 4].flatMap((nth) => FATES.map((fate) => [nth, fate] as const)))(
    "at commit %i after the request (%s) supplies nothing that the other network may void, and has it voided",
    async (nth, fate) => {
      const scene = await BorderScene.up();
      const { machine } = scene.node;
      let made = 0;
      machine.fate = () => (++made === nth ? fate : "durable");
      const asked = ask(scene.node.km, { app: "app-a1", to: "app-x1" });
      await scene.run(300);
      // It never ends when the process does.
      if (!scene.node.crashed) void scene.acknowledge("relayed").catch(() => {});
      await scene.run(300);
      machine.fate = () => "durable";
      if (scene.node.crashed) {
        scene.node.crash();
        await scene.boot();
      }
      await scene.run(TIMEOUT_MS);
      scene.other.isSynchronous = true;
      await scene.run(10_000);
      const [key] = asked.keys;
      // Either both applications can have it, or ours has nothing.
      if (key !== undefined) expect(scene.other.keys.get(key.id)).toBe(key.key);
      await scene.reboot();
      scene.other.isSynchronous = true;
      await scene.run(10_000);
      if (key !== undefined) expect(scene.other.keys.get(key.id)).toBe(key.key);
      expect([bordersIn(scene), scene.borders.sizes.leaving]).toEqual([NOTHING, 0]);
    },
  );
});

describe("a border that leaves the configuration and comes back", () => {
  it("takes and gives nothing meanwhile; what was under way is void in its time, and then keys pass again", async () => {
    const scene = await BorderScene.up();
    const underWay = ask(scene.node.km, { app: "app-a1", to: "app-x1" });
    await scene.run(100);
    expect(scene.other.keys.size).toBe(1);
    scene.borders.configure(new Map());
    expect(await codeOf(scene.borders.arrived(BORDER, arrival([1])))).toBe("NOT_AUTHORIZED");
    expect(outcome(await asking(scene))).toBe("NOT_AUTHORIZED");
    await scene.run(TIMEOUT_MS);
    expect(underWay.fault?.code).toBe("PEER_UNAVAILABLE");
    scene.borders.configure(new Map([[BORDER, { line: scene.other, isOut: true, timeoutMs: TIMEOUT_MS }]]));
    await scene.run(60_000);
    expect([scene.other.keys.size, scene.other.voided.size]).toEqual([0, 1]);
    const asked = await asking(scene);
    await scene.acknowledge("relayed");
    expect(outcome(asked)).toBe(1);
  });
});

async function asking(scene: BorderScene): Promise<ReturnType<typeof ask>> {
  const asked = ask(scene.node.km, { app: "app-a1", to: "app-x1" });
  await scene.run(100);
  return asked;
}
