// The directory as a controller keeps it at two key managers, over their real endpoints.

import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { Mode } from "../../../src/cli/controller/round.ts";
import { goRound } from "../../../src/cli/controller/round.ts";
import { Topology } from "../../../src/core/topology/topology.ts";
import {
  DIAMOND,
  directoryIn,
  node,
  type Opened,
  open,
  type Papers,
  papers,
} from "../../control/controller/controller-kit.ts";
import type { TestNode } from "../../keys/support/node.ts";
import { forIdentity, material } from "../../support/certificates.ts";
import { ModelAudit } from "../../support/model-audit.ts";
import { ModelMachine } from "../../support/model-vault.ts";

interface Told {
  readonly id: string;
  readonly machine: ModelMachine;
  readonly directory: ReturnType<typeof directoryIn>["directory"];
  readonly opened: Opened;
}

let own: Papers;
let km: TestNode;
let kms: readonly Told[];

beforeAll(async () => {
  own = await papers();
  km = await node();
});

/** Two that tell of the same key manager, each with a directory of its own. */
beforeEach(async () => {
  kms = await Promise.all(
    ["km-a", "km-b"].map(async (id) => {
      const machine = new ModelMachine(4, () => {});
      const { directory } = directoryIn(machine, new ModelAudit());
      const opened = await open({ ...own, km: await forIdentity(own.servers, "km", id) }, km, directory);
      return { id, machine, directory, opened };
    }),
  );
});
afterEach(async () => {
  for (const { opened } of kms) await opened[Symbol.asyncDispose]();
});

async function round(apps: Readonly<Record<string, string>> | undefined, mode: Mode = "set") {
  const { directories } = await goRound(
    {
      kms: kms.map(({ id, opened }) => ({ id, url: `https://127.0.0.1:${opened.server.port}` })),
      topology: new Topology(DIAMOND),
      ...(apps && { apps: new Map(Object.entries(apps)) }),
      tls: material(own.controller, own.servers),
    },
    mode,
  );
  return directories.map(({ what }) => what);
}

const has = (): unknown[] =>
  kms.map(({ directory }) => Object.fromEntries(directory.entries(0, 10_000).map(({ app, home }) => [app, home])));

const BEGUN = { "app-n1": "km-a", "app-n2": "km-b", "app-n3": "km-a" };

test("every KM is told all of it, then what differs, then that it is right", async () => {
  expect(await round(BEGUN, "look")).toEqual(["would be told all of it", "would be told all of it"]);
  expect(has()).toEqual([{}, {}]);
  expect(await round(BEGUN)).toEqual(["told all of it", "told all of it"]);
  expect(await round(BEGUN)).toEqual(["kept", "kept"]);
  const changed = { "app-n1": "km-b", "app-n2": "km-b", "app-n4": "km-a" };
  expect(await round(changed)).toEqual(["told 3 changes", "told 3 changes"]);
  expect(has()).toEqual([changed, changed]);
  expect(kms.map(({ directory }) => directory.facts().confirmedMs)).not.toContain(undefined);
});

test("a KM that has been told something else gets it back; without [apps] nothing is told", async () => {
  await round(BEGUN);
  using draft = kms[0]?.directory.begin("whole", 1);
  await draft?.commit("controller-2");
  draft?.[Symbol.dispose]();
  expect(await round(undefined)).toEqual([]);
  expect(await round(BEGUN)).toEqual(["told 3 changes", "kept"]);
  expect(has()).toEqual([BEGUN, BEGUN]);
});

test("more entries than an answer has are compared page by page", async () => {
  const many = Object.fromEntries(Array.from({ length: 2500 }, (_, at) => [`x${at}`, "km-a"]));
  await round(many);
  expect(await round({ ...many, x2400: "km-b" })).toEqual(["told 1 change", "told 1 change"]);
});

test("the KM to which an application comes is told last", async () => {
  await round(BEGUN);
  const order: string[] = [];
  for (const { id, machine } of kms) {
    machine.fate = (_, steps) => {
      if (steps.some((step) => step.op === "put" && step.table === "directory")) order.push(id);
      return "durable";
    };
  }
  await round({ ...BEGUN, "app-n1": "km-b" });
  expect(order).toEqual(["km-a", "km-b"]);
});

test("a KM that cannot write is told of with its reason, and the other is told", async () => {
  await round(BEGUN);
  const [first] = kms;
  if (first !== undefined) first.machine.fate = () => "rejected, lost";
  const [refused, told] = await round({});
  expect(refused).toContain("STORE_UNAVAILABLE");
  expect(told).toBe("told 3 changes");
  expect(has()).toEqual([BEGUN, {}]);
});
