// Keys that several applications get: the same at every one of them, once each, or nothing at all.

import { beforeEach, describe, expect, it } from "vitest";
import { appId } from "../../../src/core/ids.ts";
import type { ExtensionEntry } from "../../../src/keys/ports/peers.ts";
import type { AuditEvent } from "../../support/model-audit.ts";
import { type Asked, ask, fetchKeys } from "../support/apps.ts";
import { emittedTwice } from "../support/ledger.ts";
import { LINE_3, Mesh } from "../support/mesh.ts";

const APPS = ["app-a2", "app-b2", "app-c2"];
let mesh: Mesh;
beforeEach(async () => {
  mesh = await Mesh.up({ links: LINE_3, apps: APPS, blocks: 40, policy: { maxHeld: 1024 } });
});

const multicast = (to: string, others: readonly string[], wish: { count?: number; bits?: number } = {}): Asked =>
  ask(mesh.node("a").km, { app: "app-a", to, others: others.map(appId), ...wish });

async function done(asked: Asked, ms = 200): Promise<Asked> {
  await mesh.run(ms);
  return asked;
}

/** What an application fetches at its own KM. */
const fetched = (app: string, { keys }: Pick<Asked, "keys">, from = "app-a"): Promise<Asked> =>
  done(
    fetchKeys(
      mesh.node(app.charAt(4)).km,
      app,
      from,
      keys.map(({ id }) => id),
    ),
    50,
  );

function expectSound(): void {
  for (const node of mesh.nodes.values()) {
    expect(emittedTwice(node)).toEqual([]);
    expect(node.vault.leases.blocks).toBe(0);
  }
}

const fieldsOf = (events: readonly AuditEvent[]) => events.map(({ fields }) => fields);

const entriesTo = (to: string): ExtensionEntry[] =>
  mesh.wire("a", to).log.flatMap((one) => (one.kind === "tell" && one.from === "km-a" ? one.entries : []));

describe("keys for several applications", () => {
  it.each([
    ["at other KMs", "app-b", ["app-c", "app-b2", "app-c2"]],
    ["at home at the same KM too", "app-b", ["app-a2"]],
    ["all at the same KM", "app-a2", []],
    ["at one other KM", "app-c", ["app-c2"]],
  ])("%s are the same for each, under the same IDs, once each", async (_, to, others) => {
    const given = await done(
      others.length > 0 ? multicast(to, others, { count: 3 }) : ask(mesh.node("a").km, { app: "app-a", to, count: 3 }),
    );
    expect(given.keys).toHaveLength(3);
    for (const app of [to, ...others]) {
      expect((await fetched(app, given)).keys).toEqual(given.keys);
      expect((await fetched(app, given)).fault?.code).toBe("KEY_NOT_FOUND");
    }
    expectSound();
    for (const node of mesh.nodes.values()) expect(node.parts.multicast.copies.size).toBe(0);
  });

  it.each([
    [1, 64],
    [128, 256],
    [1, 32_704],
    [5, 520],
  ])("%i of %i bits", async (count, bits) => {
    const given = await done(multicast("app-b", ["app-c"], { count, bits }), 500);
    expect(given.keys.map(({ key }) => Buffer.from(key, "base64").length)).toEqual(Array(count).fill(bits / 8));
    expect(new Set(given.keys.map(({ key }) => key)).size).toBe(count);
    expect((await fetched("app-c", given)).keys).toEqual(given.keys);
    expect(
      (await fetched("app-b", { keys: given.keys.map((key) => ({ ...key, id: key.id.toUpperCase() })) })).keys,
    ).toEqual(given.keys);
    expectSound();
  });

  it("are on no wire but under a pad, and every application is named in the audit log", async () => {
    const given = await done(multicast("app-b", ["app-c", "app-b2"]));
    const [entry] = entriesTo("b").filter(({ name }) => name === "qkm_multicast");
    expect(entry).toMatchObject({
      initiator: "app-a",
      targets: ["app-b", "app-b2"],
      key_IDs: given.keys.map(({ id }) => id),
    });
    expect(JSON.stringify(entriesTo("b"))).not.toContain(given.keys[0]?.key);
    const { audit } = mesh.node("a");
    expect(fieldsOf(audit.of("multicast_supplied"))).toEqual([
      expect.objectContaining({ initiator: "app-a", targets: "app-b app-b2 app-c", bits: 256 }),
    ]);
    await fetched("app-b2", given);
    const atB = mesh.node("b").audit;
    expect(fieldsOf(atB.of("multicast_held")).map(({ target }) => target)).toEqual(["app-b", "app-b2"]);
    expect(fieldsOf(atB.of("multicast_fetched"))).toEqual([
      expect.objectContaining({ target: "app-b2", initiator: "app-a" }),
    ]);
    expect(fieldsOf(atB.of("keys_fetched"))).toEqual([expect.objectContaining({ door: "multicast", target: "app-b" })]);
  });

  it("are refused to an application that is not among them, under another's name, and mixed with what is none", async () => {
    const given = await done(multicast("app-b", ["app-c"]));
    expect((await fetched("app-b2", given)).fault?.code).toBe("NOT_AUTHORIZED");
    expect((await fetched("app-b", given, "app-c")).fault?.code).toBe("NOT_AUTHORIZED");
    const other = await done(ask(mesh.node("a").km, { app: "app-a", to: "app-b" }));
    expect((await fetched("app-b", { keys: [...given.keys, ...other.keys] })).fault?.code).toBe("KEY_NOT_FOUND");
    expect((await fetched("app-b", { keys: [...given.keys, ...given.keys] })).fault?.code).toBe("KEY_NOT_FOUND");
    expect((await fetched("app-b", given)).keys).toEqual(given.keys);
  });

  it("stay through a restart of the KM that holds them, and what was fetched stays fetched", async () => {
    const given = await done(multicast("app-b", ["app-b2", "app-c"]));
    await fetched("app-b", given);
    const node = mesh.node("b");
    node.crash();
    for (const wire of mesh.wiresOf("b")) wire.cut();
    await node.boot();
    mesh.connect();
    await mesh.run(100);
    expect((await fetched("app-b", given)).keys).toEqual([]);
    expect((await fetched("app-b2", given)).keys).toEqual(given.keys);
    expectSound();
  });

  it("that nobody fetched end with their time; those of a peer that is begun anew with end with the rest", async () => {
    const given = await done(multicast("app-b", ["app-c"]));
    expect(mesh.node("b").parts.multicast.copies.size).toBe(1);
    mesh.wire("b", "c").cut();
    mesh.wire("a", "c").cut();
    await mesh.node("c").km.forget("km-a");
    expect((await fetched("app-c", given)).fault?.code).toBe("KEY_NOT_FOUND");
    await mesh.run(3_600_000 + 600_000 + 2000);
    expect((await fetched("app-b", given)).fault?.code).toBe("KEY_NOT_FOUND");
    expect(fieldsOf(mesh.node("b").audit.of("whole_keys_ended"))).toEqual([
      expect.objectContaining({ reason: "expired" }),
    ]);
  });
});

describe("a request that fails gives nobody anything", () => {
  const nothing = async (asked: Asked, code: string): Promise<void> => {
    expect([asked.keys, asked.fault?.code, asked.answers]).toEqual([[], code, 1]);
    await mesh.run(1000);
    for (const node of mesh.nodes.values()) expect(node.parts.multicast.copies.size).toBe(0);
    expectSound();
  };

  it("when an application is not known, named twice, or the one that asks", async () => {
    await nothing(await done(multicast("app-b", ["app-x"])), "UNKNOWN_APPLICATION");
    await nothing(await done(multicast("app-b", ["app-b"])), "MALFORMED_REQUEST");
    await nothing(await done(multicast("app-b", ["app-a"])), "MALFORMED_REQUEST");
    await nothing(await done(multicast("app-b", ["app-c"], { count: 129 })), "TOO_MANY_KEYS");
  });

  it("when one KM is away, before key of the others is used", async () => {
    mesh.wire("a", "c").cut();
    const before = mesh.peer("a", "b").stock.bytes;
    await nothing(await done(multicast("app-b", ["app-c"])), "PEER_UNAVAILABLE");
    expect(mesh.peer("a", "b").stock.bytes).toBe(before);
  });

  it("when one KM does not answer: the others destroy what they have", async () => {
    mesh.wire("a", "c").lose = ({ kind }) => kind === "told";
    const asked = multicast("app-b", ["app-c"]);
    await mesh.run(100);
    expect(mesh.node("b").parts.multicast.copies.size).toBe(1);
    await mesh.run(10_000);
    expect(asked.outcome).toBe("refused");
    expect(mesh.node("b").parts.multicast.copies.size).toBe(0);
    expectSound();
  });

  it.each(["rejected, lost", "rejected, kept"] as const)("when a KM's store is %s", async (fate) => {
    mesh.node("c").machine.fate = (_, steps) =>
      steps.some((op) => op.op === "put" && op.table === "multicast") ? fate : "durable";
    await nothing(await done(multicast("app-b", ["app-c"]), 1000), "STORE_UNAVAILABLE");
  });

  it("when the client is gone: the keys are destroyed with their time at the latest, and counted", async () => {
    const asked = multicast("app-b", ["app-c"]);
    asked.cancel();
    await mesh.run(1000);
    expect(asked.answers).toBe(0);
    expectSound();
  });

  it("when a tag is wrong, and the pad is used up all the same", async () => {
    const { connection } = mesh.peer("a", "b");
    const tell = connection?.tell.bind(connection);
    Object.assign(connection ?? {}, {
      tell: (entries: readonly ExtensionEntry[], ms: number) =>
        tell?.(
          entries.map((entry) =>
            entry.name === "qkm_multicast" ? { ...entry, tag: Buffer.alloc(16).toString("base64") } : entry,
          ),
          ms,
        ),
    });
    await nothing(await done(multicast("app-b", ["app-c"])), "BAD_TAG");
  });
});

describe("a KM that ends in the middle", () => {
  const CASES = ["a", "b"].flatMap((name) =>
    [1, 2, 3, 4, 5, 6].flatMap((nth) =>
      (["crash, lost", "crash, kept"] as const).map((fate) => [name, nth, fate] as const),
    ),
  );

  it.each(CASES)(
    "km-%s at commit %i (%s): what was given can be fetched, nothing is given twice",
    async (name, nth, fate) => {
      const node = mesh.node(name);
      const { commits } = node.machine;
      node.machine.fate = (n) => (n === commits + nth ? fate : "durable");
      const asked = multicast("app-b", ["app-c", "app-a2"], { count: 2 });
      await mesh.run(300);
      if (node.crashed) {
        node.crash();
        for (const wire of mesh.wiresOf(name)) wire.cut();
        node.machine.fate = () => "durable";
        await node.boot();
        mesh.connect();
        await mesh.run(6000);
      }
      node.machine.fate = () => "durable";
      for (const app of ["app-b", "app-c", "app-a2"]) {
        if (asked.keys.length > 0) expect((await fetched(app, asked)).keys).toEqual(asked.keys);
      }
      expectSound();
      expect(asked.keys.length > 0 || asked.outcome !== "granted").toBe(true);
    },
  );

  it("destroys at its next start what nobody was given yet, and counts it", async () => {
    const node = mesh.node("a");
    node.machine.fate = (_, steps) =>
      steps.some((op) => op.op === "put" && op.table === "multicast") ? "crash, kept" : "durable";
    multicast("app-b", ["app-c"]);
    await mesh.run(100);
    expect(node.crashed).toBe(true);
    node.crash();
    for (const wire of mesh.wiresOf("a")) wire.cut();
    node.machine.fate = () => "durable";
    await node.boot();
    expect(fieldsOf(node.audit.of("whole_keys_ended"))).toEqual([
      expect.objectContaining({ reason: "lost_at_restart" }),
    ]);
    expect([...node.machine.rows.keys()].filter((row) => row.includes("multicast"))).toEqual([]);
    expect([...node.machine.records.keys()].filter((record) => record.includes("multicast"))).toEqual([]);
  });
});
