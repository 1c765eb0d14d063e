// A queue in which applications take turns.

import fc from "fast-check";
import { expect, test } from "vitest";
import { FairQueue } from "../../../../src/keys/common/queues/fair-queue.ts";

function drain(turns: FairQueue<string>): string[] {
  const order: string[] = [];
  for (let head = turns.head(); head !== undefined; head = turns.head()) {
    order.push(head);
    turns.shift();
  }
  return order;
}

test("each app's requests in order, the apps one after the other", () => {
  const turns = new FairQueue<string>();
  for (const item of ["a1", "a2", "a3", "b1", "b2", "c1"]) turns.add(item.charAt(0), item);
  expect([...turns]).toHaveLength(6);
  expect(drain(turns)).toEqual(["a1", "b1", "c1", "a2", "b2", "a3"]);
  expect([turns.size, turns.head()]).toEqual([0, undefined]);
  turns.shift();
  expect(turns.size).toBe(0);
});

test("who comes late does not overtake, and does not wait for all of another's", () => {
  const turns = new FairQueue<string>();
  for (const item of ["a1", "a2"]) turns.add("a", item);
  turns.shift();
  turns.add("b", "b1");
  expect(drain(turns)).toEqual(["a2", "b1"]);
});

test("one that leaves takes nothing from the others", () => {
  const turns = new FairQueue<string>();
  for (const item of ["a1", "a2", "b1"]) turns.add(item.charAt(0), item);
  expect([turns.remove("a", "a1"), turns.remove("a", "a1"), turns.remove("c", "a2")]).toEqual([true, false, false]);
  expect(turns.size).toBe(2);
  expect(drain(turns)).toEqual(["a2", "b1"]);
});

test("nobody waits longer than one turn of everybody else, whatever is added and removed", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), app: fc.nat(3) }),
    fc.record({ kind: fc.constant("shift" as const), app: fc.constant(0) }),
    fc.record({ kind: fc.constant("remove" as const), app: fc.nat(3) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const turns = new FairQueue<string>();
      const model = new Map<number, string[]>();
      const since = new Map<number, number>();
      steps.forEach(({ kind, app }, index) => {
        const own = model.get(app) ?? [];
        model.set(app, own);
        if (kind === "add") {
          own.push(`${app}:${index}`);
          turns.add(String(app), `${app}:${index}`);
        } else if (kind === "remove") {
          const last = own.pop();
          if (last !== undefined) expect(turns.remove(String(app), last)).toBe(true);
        } else {
          const head = turns.head();
          const of = Number(head?.split(":")[0]);
          if (head !== undefined) expect(model.get(of)?.shift()).toBe(head);
          for (const [other, waiting] of model)
            since.set(other, waiting.length > 0 && other !== of ? (since.get(other) ?? 0) + 1 : 0);
          turns.shift();
        }
        expect(turns.size).toBe([...model.values()].flat().length);
        for (const turnsMissed of since.values()) expect(turnsMissed).toBeLessThanOrEqual(3);
      });
    }),
  );
});

test("ahead of a new request is exactly what would be served before it", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3), { maxLength: 30 }), fc.nat(10), fc.nat(4), (apps, served, app) => {
      const turns = new FairQueue<string>();
      apps.forEach((one, index) => {
        turns.add(String(one), `${one}:${index}`);
      });
      for (let count = 0; count < served; count++) turns.shift();
      const ahead = turns.ahead(String(app));
      turns.add(String(app), "new");
      const order = drain(turns);
      expect(ahead.sort()).toEqual(order.slice(0, order.indexOf("new")).sort());
    }),
  );
});
