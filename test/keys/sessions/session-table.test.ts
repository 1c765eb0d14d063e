// The table of sessions: found by name, bounded, ended when idle by one timer, remembered for a while.

import { expect, test } from "vitest";
import type { SessionEnd } from "../../../src/core/counters.ts";
import { asFault } from "../../../src/core/fault.ts";
import type { AppId, KmId } from "../../../src/core/ids.ts";
import { NO_AUDIT } from "../../../src/core/ports.ts";
import { Session } from "../../../src/keys/sessions/session.ts";
import { type SessionRole, SessionTable, sessionKey } from "../../../src/keys/sessions/session-table.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { recorder } from "../../support/recorder.ts";
import { DEFAULT_SESSIONS } from "../support/policy.ts";

function made(role: SessionRole = "initiator", idleMs = 1000) {
  const clock = new ManualClock();
  const told: (readonly [string, SessionEnd])[] = [];
  const ended = ({ terms }: Session, reason: SessionEnd): void => void told.push([terms.id, reason]);
  const table = new SessionTable(
    { clock, audit: NO_AUDIT, ...recorder() },
    { role, policy: { ...DEFAULT_SESSIONS, idleMs }, ended },
  );
  const open = (id: string, peer = "km-b"): Session => {
    const terms = { initiator: "app-a1" as AppId, destination: "app-b1" as AppId, budget: 10 };
    const session = new Session({ id, peer: peer as KmId, ...terms });
    table.admit(session);
    table.opened(session);
    return session;
  };
  return { clock, told, table, open };
}

function codeOf(find: () => unknown): string {
  try {
    find();
    return "found";
  } catch (thrown) {
    return asFault(thrown).code;
  }
}

test("each session ends when it alone was idle for so long, with one timer for all and none for no session", () => {
  const { clock, told, table, open } = made();
  for (const id of ["a", "b", "c"]) {
    open(id);
    clock.advance(300);
  }
  expect(clock.waiting).toBe(1);
  table.use(table.find("a"));
  clock.advance(390);
  expect(told).toEqual([]);
  clock.advance(20);
  expect(told).toEqual([["b", "idle"]]);
  clock.advance(300);
  clock.advance(300);
  expect(told.map(([id]) => id)).toEqual(["b", "c", "a"]);
  expect([table.size, clock.waiting]).toEqual([0, 0]);
});

test("a session in which keys are under way is not idle", () => {
  const { clock, told, table, open } = made();
  const session = open("a");
  session.reserve(1);
  clock.advance(5000);
  expect(told).toEqual([]);
  session.settle(1, 0);
  table.use(session);
  clock.advance(999);
  expect(table.size).toBe(1);
  clock.advance(1001);
  expect(table.size).toBe(0);
});

test("what ended is told apart from what never was, for the last 1,024", () => {
  const { table, open } = made();
  for (let number = 0; number < 1025; number++) table.end(open(`s${number}`), "budget");
  expect([codeOf(() => table.find("s0")), codeOf(() => table.find("s1"))]).toEqual([
    "SESSION_UNKNOWN",
    "SESSION_ENDED",
  ]);
  expect(codeOf(() => table.find("never"))).toBe("SESSION_UNKNOWN");
});

test("a session that is being opened cannot be used yet", () => {
  const { table } = made();
  const terms = { initiator: "app-a1" as AppId, destination: "app-b1" as AppId, budget: 10 };
  const session = new Session({ id: "a", peer: "km-b" as KmId, ...terms });
  table.admit(session);
  expect(codeOf(() => table.find("a"))).toBe("SESSION_UNKNOWN");
  table.refused(session, "BUSY");
  expect([table.size, codeOf(() => table.find("a"))]).toEqual([0, "SESSION_UNKNOWN"]);
});

test("at a destination the same ID from another KM is another session", () => {
  const { table, open } = made("destination");
  const [one, other] = [open("same", "km-a"), open("same", "km-c")];
  expect(table.find(sessionKey("km-a" as KmId, "same"))).toBe(one);
  table.heard("km-a" as KmId, "same", "idle");
  expect([one.state, other.state]).toEqual(["ended", "open"]);
});

test("an initiator's session is ended by the KM at its other end alone, and what that tells is not told back", () => {
  const { table, open, told } = made();
  const session = open("a", "km-b");
  table.heard("km-c" as KmId, "a", "idle");
  expect(session.state).toBe("open");
  table.heard("km-b" as KmId, "a", "idle");
  expect([session.state, told]).toEqual(["ended", []]);
});

test("issue 17, 4: no KM takes all places of an application: some are kept for the others", () => {
  const policy = { ...DEFAULT_SESSIONS, max: 1_000, maxPerApp: 16 };
  const settings = { role: "destination", policy, peers: () => 4, ended: () => {} } as const;
  const table = new SessionTable({ clock: new ManualClock(), audit: NO_AUDIT, ...recorder() }, settings);
  const admitted = (peer: string, app = "app-b1"): Session | undefined => {
    const terms = { initiator: "app-x" as AppId, destination: app as AppId, budget: 10 };
    const session = new Session({ id: `${peer} ${app} ${table.size}`, peer: peer as KmId, ...terms });
    if (codeOf(() => table.admit(session)) === "BUSY") return undefined;
    return session;
  };
  const greedy = Array.from({ length: 16 }, () => admitted("km-greedy")).filter((one) => one !== undefined);
  // A share is 16 / (2 · 4); three of them are kept.
  expect(greedy).toHaveLength(10);
  for (const peer of ["km-b", "km-c", "km-d"]) expect([admitted(peer), admitted(peer)]).not.toContain(undefined);
  expect(admitted("km-b")).toBeUndefined();
  expect(admitted("km-greedy", "app-b2")).toBeDefined();
  for (const session of greedy) table.end(session, "budget");
  expect(admitted("km-b")).toBeDefined();
});
