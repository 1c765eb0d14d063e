// Tests of src/console/shell.ts with all that it puts together: a person at a terminal, a made-up node.

import { afterEach, describe, expect, test } from "vitest";
import { COMMANDS } from "../../src/console/commands/commands.ts";
import { KmDown, type KmFacts } from "../../src/console/node.ts";
import { WIDTH } from "../../src/console/terminal/text.ts";
import { Fault } from "../../src/core/fault.ts";
import { settled } from "../support/manual-clock.ts";
import { until } from "../support/until.ts";
import { FACTS, LINK, madeNode, PROMPT, people, runningKm, Terminal } from "./terminal.ts";

let terminals: Terminal[] = [];
const opened = (terminal: Terminal): Terminal => {
  terminals.push(terminal);
  return terminal;
};

afterEach(async () => {
  for (const terminal of terminals) {
    await terminal.hangUp();
    expect(terminal.ended).toBeDefined();
    await until("no timer is left", () => terminal.clock.waiting === 0);
  }
  terminals = [];
});

test("`show cluster` tells member, state, generation, lag and lease, and what is missing", async () => {
  let cluster: KmFacts["cluster"];
  const km = runningKm({ status: async () => ({ ...FACTS, ...(cluster && { cluster }) }) });
  const terminal = opened(new Terminal(madeNode({ km })).as("olga"));
  await terminal.shows(PROMPT);
  expect(await terminal.command("show cluster")).toContain("one machine");
  cluster = {
    ...{ member: "1", state: "active", generation: 7, lagMs: 0, leaseLeftMs: 2400, etcd: "ready" },
    others: [{ member: "2", state: "standby", behind: 1234 }],
  };
  const shown = await terminal.command("show cluster");
  expect(shown).toMatch(/km-a\.1 +active +7 +nothing +2\.4 s/);
  expect(shown).toMatch(/km-a\.2 +standby +– +1,234 writes +–/);
  cluster = { ...cluster, state: "standby", lagMs: 1500, etcd: "failing", others: [] };
  const alone = await terminal.command("show cluster");
  expect(alone).toMatch(/km-a\.1 +standby +7 +1\.5 s/);
  expect(alone).toContain("no other member runs");
  expect(alone).toContain("etcd does not answer");
  expect(await terminal.command("show status")).toMatch(/state +standby/);
});

test("`show certificates` tells name, subject, expiry, days left and where each is used, what expires first first", async () => {
  const day = (days: number): string => new Date(Date.now() + (days + 0.5) * 86_400_000).toISOString();
  const anchor = { use: "trust", name: "CN=apps", subject: "CN=apps", until: day(300) } as const;
  const own = { use: "own", name: "urn:qkm:km:km-a", subject: "CN=km-a", until: day(6) } as const;
  const list = { use: "crl", name: "CN=apps", subject: "CN=apps", until: day(-2), door: "ak" } as const;
  const told = [{ door: "ak", ...anchor }, { door: "ak", ...own }, { door: "skip", ...own }, list];
  const km = runningKm({ certificates: async () => told });
  const terminal = opened(new Terminal(madeNode({ km })).as("axel"));
  await terminal.shows(PROMPT);
  const shown = (await terminal.command("show certificates")).split("\n").map((line) => line.trim().split(/ {2,}/));
  expect(shown.slice(-4, -1)).toEqual([
    ["CN=apps", "CN=apps", "list", day(-2).slice(0, 10), "expired", "ak"],
    ["urn:qkm:km:km-a", "CN=km-a", "shown", day(6).slice(0, 10), "6", "ak skip"],
    ["CN=apps", "CN=apps", "trusted", day(300).slice(0, 10), "300", "ak"],
  ]);
});

describe("login", () => {
  test("lets a person in with name and PIN, which is not echoed, and notes it", async () => {
    const notes: string[] = [];
    const list = await people();
    const terminal = opened(new Terminal(madeNode({ operators: () => list }, notes))).open();
    await terminal.shows("login: ");
    terminal.type("olga\r");
    await terminal.shows("PIN: ");
    terminal.type("135790\r");
    await terminal.shows(PROMPT);
    expect(terminal.raw).not.toContain("135790");
    terminal.type("logout\r");
    await terminal.shows("login: ");
    expect(notes).toEqual(["olga: login as operator", "olga: log-out"]);
  });

  test("tells an unknown name as little as a wrong PIN, and the line waits longer after each", async () => {
    const notes: string[] = [];
    const list = await people();
    const terminal = opened(new Terminal(madeNode({ operators: () => list }, notes))).open();
    const words: string[] = [];
    for (const [name, delayMs] of [
      ["olga", 1_000],
      ["nobody", 2_000],
      ["olga", 4_000],
    ] as const) {
      await terminal.shows("login: ");
      terminal.type(`${name}\r`);
      await terminal.shows("PIN: ");
      terminal.type("000000\r");
      words.push(await terminal.shows("incorrect."));
      await until("the line waits", () => terminal.clock.waiting === 1);
      expect(terminal.clock.nextMs).toBe(delayMs);
      terminal.type("olga\r135790\r");
      await settled();
      terminal.clock.advance(delayMs);
    }
    expect(new Set(words).size).toBe(1);
    await terminal.shows("login: ");
    expect(notes).toEqual(["olga: login refused", "unknown: login refused", "olga: login refused"]);
  });

  test("waits 30 s at most, remembers failures of a console before, and forgets them when somebody is let in", async () => {
    const failures = { count: 12 };
    const list = await people();
    const terminal = opened(new Terminal(madeNode({ operators: () => list }))).open(failures);
    await until("the line waits", () => terminal.clock.waiting === 1);
    expect(terminal.clock.nextMs).toBe(30_000);
    terminal.clock.advance(30_000);
    await terminal.shows("login: ");
    terminal.type("axel\r");
    await terminal.shows("PIN: ");
    terminal.type("246800\r");
    await terminal.shows(PROMPT);
    expect(failures.count).toBe(0);
  });

  test("goes back to the name when nobody types a PIN, and says when nobody can log in", async () => {
    const list = await people();
    const terminal = opened(new Terminal(madeNode({ operators: () => list }))).open();
    await terminal.shows("login: ");
    terminal.type("olga\r");
    await terminal.shows("PIN: ");
    await settled();
    terminal.clock.advance(60_000);
    await terminal.shows("login: ");
    const other = opened(new Terminal(madeNode())).open();
    await other.shows("login: ");
    other.type("olga\r");
    await other.shows("Nobody can log in yet");
    await other.shows("login: ");
    other.type("\x04");
    await other.shows("login: ");
  });
});

describe("a session", () => {
  test("ends when nothing was typed for ten minutes, or as long as was set", async () => {
    const notes: string[] = [];
    const terminal = opened(new Terminal(madeNode({}, notes))).as("olga");
    await terminal.shows(PROMPT);
    await terminal.clock.run(9 * 60_000);
    await terminal.command("set idle 20");
    await terminal.clock.run(19 * 60_000);
    expect(terminal.ended).toBeUndefined();
    await terminal.clock.run(60_000);
    await terminal.shows("nothing was typed for too long");
    expect(notes.at(-1)).toBe("olga: log-out: idle");
  });

  test("ends with a hang-up in the middle of whatever is done, and notes it", async () => {
    for (const line of ["", "watch\r", "zeroise\r", "show metrics\r", "certificate install\r"]) {
      const notes: string[] = [];
      const terminal = new Terminal(madeNode({}, notes)).as("olga");
      await terminal.shows(PROMPT);
      terminal.type(line);
      await settled();
      await terminal.hangUp();
      await until("it has ended", () => terminal.ended === "hang-up");
      expect(notes.at(-1)).toBe("olga: log-out: hang-up");
      expect(terminal.clock.waiting).toBe(0);
    }
  });

  test("lets an auditor look and change nothing", async () => {
    const notes: string[] = [];
    const terminal = opened(new Terminal(madeNode({}, notes))).as("axel", "auditor");
    await terminal.shows("km-a> ");
    for (const { words } of COMMANDS.filter(({ role }) => role === "operator")) {
      const typed = [
        ...words,
        ...(["link", "peer"].includes(words[0] ?? "") ? ["ab"] : words[1] === "log-level" ? ["info"] : []),
      ].join(" ");
      expect(await terminal.command(typed), typed).toContain("Only an operator may do this.");
    }
    expect(await terminal.command("sh li")).toContain("ab");
    expect(notes).toEqual(["axel: login as auditor"]);
  });

  test("brings back what was typed, completes words and names, and tells what may follow", async () => {
    const asked: string[] = [];
    const km = runningKm({ setLink: async (link, use) => void asked.push(`${link} ${use}`) === undefined });
    const terminal = opened(new Terminal(madeNode({ km }))).as("olga");
    await terminal.shows(PROMPT);
    terminal.type("li\td\t\t");
    await terminal.shows("down ab");
    terminal.type("\r");
    await terminal.shows("link ab is out of use now");
    await terminal.shows(PROMPT);
    terminal.type("\x1b[A\r");
    await terminal.shows("link ab is out of use now");
    expect(asked).toEqual(["ab false", "ab false"]);
    await terminal.shows(PROMPT);
    expect(await terminal.command("link up ?")).toContain("ab");
    expect(await terminal.command("show ?")).toContain("modules");
    expect(await terminal.command("s")).toContain("s may be show, set, selftest");
    expect(await terminal.command("link up")).toContain("LINK is missing");
    expect(await terminal.command("show nonsense")).toContain("unknown: nonsense");
    expect(await terminal.command("set pager maybe")).toContain("maybe is none of on, off");
  });

  test("has a page of long output wait for a key, until the pager is off", async () => {
    const configuration = Array.from({ length: 60 }, (_, at) => `line ${at}`).join("\n");
    const terminal = opened(new Terminal(madeNode({ configuration: () => configuration }))).as("olga");
    await terminal.shows(PROMPT);
    terminal.type("show configuration\r");
    expect(await terminal.shows("--more--")).toContain("line 21");
    terminal.type(" ");
    expect(await terminal.shows("--more--")).toContain("line 43");
    terminal.type("q");
    expect(await terminal.shows(PROMPT)).not.toContain("line 59");
    await terminal.command("set pager off");
    expect(await terminal.command("sh conf")).toContain("line 59");
  });

  test("changes nothing of which the audit log cannot tell, but for zeroise, which nothing may hold up", async () => {
    const full = () => Promise.reject(new Fault("STORE_UNAVAILABLE"));
    const terminal = opened(new Terminal(madeNode({ note: full }))).as("olga");
    await terminal.shows("not in the audit log: STORE_UNAVAILABLE");
    await terminal.shows(PROMPT);
    expect(await terminal.command("link down ab")).toContain("STORE_UNAVAILABLE");
    expect(await terminal.command("show links")).toContain("ab");
    terminal.type("zeroise\r");
    expect(await terminal.shows("code: ")).toContain("not in the audit log: STORE_UNAVAILABLE");
    terminal.type("\r");
    await terminal.shows("Nothing was done.");
  });

  test("is interrupted by Ctrl-C while the node does not answer", async () => {
    const km = runningKm({ sessions: () => new Promise(() => {}) });
    const terminal = opened(new Terminal(madeNode({ km }))).as("olga");
    await terminal.shows(PROMPT);
    terminal.type("show sessions\r");
    await settled();
    terminal.type("\x03");
    await terminal.shows("^C");
    await terminal.shows(PROMPT);
    expect(await terminal.command("show links")).toContain("ab");
  });

  test("goes on while the key manager is down, and says so", async () => {
    const gone = () => Promise.reject(new KmDown("nobody answers"));
    const km = runningKm({ status: gone, sessions: gone, faults: gone, metrics: gone, setLink: gone });
    const terminal = opened(new Terminal(madeNode({ km }))).as("olga");
    await terminal.shows("does not run: nobody answers");
    await terminal.shows(PROMPT);
    for (const line of ["show status", "show stock", "show sessions", "show metrics", "link down ab"]) {
      expect(await terminal.command(line), line).toContain("does not run");
    }
    expect(await terminal.command("selftest")).toMatch(/key manager +FAIL +does not run/);
    expect(await terminal.command("show configuration")).toContain('id = "km-a"');
    terminal.type("watch\r");
    await terminal.shows("the key manager does not run");
    terminal.type("q");
    await terminal.shows(PROMPT);
  });
});

describe("a bad line", () => {
  test("of garbage, breaks and a hundred thousand characters costs little memory and no session", async () => {
    const terminal = opened(new Terminal(madeNode())).as("olga");
    await terminal.shows(PROMPT);
    terminal.type(Uint8Array.from({ length: 4096 }, (_, at) => (at * 197) % 256).filter((byte) => byte !== 4));
    terminal.type(new Uint8Array(1000));
    await until("all is taken", () => terminal.input.readableLength === 0);
    terminal.type("\x03\rhelp logout\r");
    await terminal.shows("end the session");
    await terminal.shows(PROMPT);
    terminal.type("x".repeat(100_000));
    terminal.type("\r");
    const shown = await terminal.shows("unknown: xxxx");
    expect(shown.match(/x/g)?.length).toBeLessThan(10_000);
    await terminal.shows(PROMPT);
    expect(await terminal.command("show links")).toContain("ab");
  });

  test("of a hostile name drives no terminal", async () => {
    const evil = { ...LINK, module: "\x1b[2J\x07\u202eevil\u0085\x9b31m", alarms: ["\r\nlogin: zeroise"] };
    const km = runningKm({ status: async () => ({ ...FACTS, links: [evil] }) });
    const terminal = opened(new Terminal(madeNode({ km }))).as("olga");
    await terminal.shows(PROMPT);
    const from = terminal.raw.length;
    await terminal.command("set pager off");
    const modules = await terminal.command("show modules");
    expect(modules).toContain("\\x1b[2J\\x07\\u{202e}evil\\x85\\x9b31m");
    expect(modules).toContain("\\x0d\\x0alogin");
    const codes = [...terminal.raw.slice(from)].filter((one) => !/[\r\n\x20-\x7e–▁-█]/u.test(one) && one !== "\x1b");
    expect(codes).toEqual([]);
  });

  test("that takes nothing gets no endless output", async () => {
    const metrics = async () => "qkm_x_total 1\n".repeat(100_000);
    const terminal = opened(new Terminal(madeNode({ km: runningKm({ metrics }) }))).as("olga");
    await terminal.shows(PROMPT);
    await terminal.command("set pager off");
    terminal.output.pause();
    terminal.type("show metrics\r");
    await settled(50);
    expect(terminal.output.readableLength + terminal.output.writableLength).toBeLessThan(200_000);
    terminal.output.resume();
    terminal.type("\x03");
    await terminal.shows("^C");
    await terminal.shows(PROMPT);
  });
});

describe("watch", () => {
  test("sends only what has changed, and less often than every second", async () => {
    let rate = 1e6;
    const km = runningKm({
      status: async () => {
        rate += 100_000;
        return { ...FACTS, links: [{ ...LINK, measuredBitsPerS: rate }] };
      },
    });
    const terminal = opened(new Terminal(madeNode({ km }))).as("olga");
    await terminal.shows(PROMPT);
    terminal.type("watch\r");
    await terminal.shows("any key ends it");
    const first = terminal.raw.length;
    for (let second = 0; second < 20; second++) await terminal.clock.run(1000);
    expect(terminal.raw.length - first).toBeGreaterThan(0);
    expect(terminal.raw.length - first).toBeLessThan(20 * 500);
    terminal.type("q");
    await terminal.shows(PROMPT);
    expect(await terminal.command("show links")).toMatch(/[▁-█]{8}/u);
  });

  test("fits the screen with more links than it has lines", async () => {
    const links = Array.from({ length: 100 }, (_, at) => ({ ...LINK, id: `link-${at}-${"x".repeat(50)}` }));
    const km = runningKm({ status: async () => ({ ...FACTS, links }) });
    const terminal = opened(new Terminal(madeNode({ km }))).as("olga");
    await terminal.shows(PROMPT);
    terminal.type("watch\r");
    await terminal.shows("lines more");
    const rows = [...terminal.raw.matchAll(/\[(\d+);1H/g)].map(([, row]) => Number(row));
    expect(Math.max(...rows)).toBeLessThanOrEqual(24);
    terminal.type("q");
    await terminal.shows(PROMPT);
  });
});

describe("two-step commands", () => {
  const codeIn = (text: string): string => /type\s+(\d{6})/.exec(text)?.[1] ?? "";

  test("zeroise does nothing after a wrong code, a late one or none, and zeroises after the right one", async () => {
    const notes: string[] = [];
    let done = 0;
    const zeroise = async () => {
      done++;
      return "gone";
    };
    const terminal = opened(new Terminal(madeNode({ zeroise }, notes))).as("olga");
    await terminal.shows(PROMPT);
    for (const answer of ["000", "", "yes"]) {
      terminal.type("zeroise\r");
      await terminal.shows("code: ");
      terminal.type(`${answer}\r`);
      await terminal.shows("Nothing was done.");
    }
    terminal.type("zeroise\r");
    const late = codeIn(await terminal.shows("code: "));
    await settled();
    terminal.clock.advance(30_000);
    await terminal.shows("Nothing was done.");
    await terminal.shows(PROMPT);
    terminal.type(`${late}\r`);
    await terminal.shows("unknown: ");
    expect([done, late.length]).toEqual([0, 6]);
    terminal.type("zeroise\r");
    const code = codeIn(await terminal.shows("code: "));
    terminal.type(`${code}\r`);
    await terminal.shows("km-a is zeroised: gone");
    expect(done).toBe(1);
    expect(notes.filter((note) => note === "olga: zeroise")).toHaveLength(5);
    expect(notes.filter((note) => note === "olga: zeroise, confirmed")).toHaveLength(1);
  });

  test.each([
    ["peer forget km-b", "Begun anew with km-b.", "forget km-b"],
    ["link accept ab", "The link ab takes what its module brings from now on.", "accept ab"],
  ])(
    "issue 17, 2 and 10: `%s` does nothing without its code, and is noted before it is done",
    async (line, said, does) => {
      const notes: string[] = [];
      const forget = async (peer: string) => void notes.push(`forget ${peer}`);
      const acceptModule = async (link: string) => void notes.push(`accept ${link}`);
      const terminal = opened(new Terminal(madeNode({ km: runningKm({ forget, acceptModule }) }, notes))).as("olga");
      await terminal.shows(PROMPT);
      terminal.type(`${line}\r`);
      await terminal.shows("code: ");
      terminal.type("000\r");
      await terminal.shows("Nothing was done.");
      expect(notes).not.toContain(does);
      terminal.type(`${line}\r`);
      const code = codeIn(await terminal.shows("code: "));
      terminal.type(`${code}\r`);
      await terminal.shows(said);
      expect(notes.slice(-2)).toEqual([`olga: ${line}, confirmed`, does]);
    },
  );

  test("a code that was typed ahead is none: nobody can have read it", async () => {
    const terminal = opened(new Terminal(madeNode())).as("olga");
    await terminal.shows(PROMPT);
    terminal.type("reboot\r123456\r");
    await terminal.shows("code: ");
    terminal.type("\x03");
    await terminal.shows("^C");
  });

  test("update lists, asks, shows what is said, and fails with its reason", async () => {
    const notes: string[] = [];
    const update = async (file: string, said: (line: string) => void) => {
      said(`  50% of ${file}`);
      if (file === "bad.raucb") throw new Error("the update was not installed: signature");
    };
    const updates = () => ["bad.raucb", "good.raucb", "strange.raucb"];
    const updateContents = async (file: string) => {
      if (file === "strange.raucb") throw new Error("the update cannot be looked into: no signature");
      return ["1 -> 2", "  libssl3 3.0.1 -> 3.0.2  security fix"];
    };
    const terminal = opened(new Terminal(madeNode({ update, updates, updateContents }, notes))).as("olga");
    await terminal.shows(PROMPT);
    expect(await terminal.command("update strange.raucb")).toContain("cannot be looked into: no signature");
    expect(await terminal.command("update")).toMatch(/bad\.raucb\r\n +good\.raucb/);
    expect(await terminal.command("update other.raucb")).toContain("good.raucb");
    terminal.type("upd g\t\rn\r");
    await terminal.shows(/libssl3 3\.0\.1 -> 3\.0\.2 {2}security fix[\s\S]*Install good\.raucb\?/);
    await terminal.shows("Nothing was done.");
    terminal.type("upd good.raucb\ry\r");
    await terminal.shows("50% of good.raucb");
    await terminal.shows("Installed.");
    terminal.type("upd bad.raucb\ry\r");
    await terminal.shows("not installed: signature");
    expect(notes).toContain("olga: update good.raucb, confirmed");
  });

  test("certificates are shown, and installed as they are pasted", async () => {
    const given: string[] = [];
    const installCertificate = async (pem: string) => {
      given.push(pem);
      return ["installed"];
    };
    const requests = async () => [{ name: "kx", pem: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n" }];
    const terminal = opened(new Terminal(madeNode({ installCertificate, requests }))).as("olga");
    await terminal.shows(PROMPT);
    expect(await terminal.command("cert req")).toMatch(/kx:\r\n-----BEGIN CERTIFICATE REQUEST-----\r\nAAAA/);
    const body = Array.from({ length: 40 }, () => "A".repeat(64)).join("\r\n");
    const pem = `-----BEGIN CERTIFICATE-----\r\n${body}\r\n-----END CERTIFICATE-----\r\n`;
    terminal.type(`cert inst\r${pem}\r\n${pem}\r\n`);
    await terminal.shows("installed");
    expect(given[0]?.replaceAll("\n", "\r\n")).toBe(pem);
    terminal.type("\x03");
    await terminal.shows(PROMPT);
    terminal.type("cert inst\r");
    await terminal.shows("Paste");
    terminal.type(`${"B".repeat(64)}\r`.repeat(600));
    await terminal.shows("more than 32768 characters");
  });
});

test("no command shows a line wider than the screen, however long the names are", async () => {
  const long = "x".repeat(64);
  const link = { ...LINK, id: long, peer: `${long.slice(1)}y`, module: "m".repeat(120), alarms: ["out-of-use", long] };
  const peer = { ...FACTS.peers[1], id: long } as (typeof FACTS.peers)[number];
  const session = {
    ...{ id: long, role: "initiator" as const, initiator: long, destination: long, peer: long },
    ...{ state: "open" as const, spent: 1, budget: 1_000_000, idleMs: 5 },
  };
  const fault = { level: "error", time: "2026-01-01T00:00:00.000Z", message: long.repeat(3), fields: { link: long } };
  const km = runningKm({
    status: async () => ({ ...FACTS, km: long, links: [link], peers: [peer] }),
    sessions: async () => [session],
    faults: async () => [fault],
    metrics: async () => `qkm_x{link="${long}",peer="${long}"} 1\n`,
    setLink: async () => true,
    logLevel: async () => "info",
  });
  const node = madeNode({
    km,
    configuration: () => `key = "${long.repeat(4)}"`,
    modules: () => [{ link: long, driver: "hid", port: `/dev/serial/by-id/${long}` }],
    audit: async () => [{ time: fault.time, event: "keys_supplied", fields: { initiator: long, target: long } }],
    logs: async () => [long.repeat(5)],
    checks: async () => [{ what: `certificate ${long}`, passed: true, found: long }],
    updates: () => [`${long}.raucb`, `${long}2.raucb`],
    requests: async () => [{ name: long, pem: long.repeat(2) }],
  });
  const terminal = opened(new Terminal(node)).as("olga");
  await terminal.shows(PROMPT);
  await terminal.command("set pager off");
  const twoStep = ["watch", "reboot", "zeroise", "logout", "certificate install"];
  const commands = COMMANDS.map(({ words }) => words.join(" ")).filter((words) => !twoStep.includes(words));
  for (const words of [...commands, "show nothing", "link up a", "set log-level info", long, ""]) {
    const lines = (await terminal.command(words)).split("\r\n");
    for (const line of lines) expect(line.length, `${words}: ${line}`).toBeLessThanOrEqual(WIDTH);
  }
  terminal.type("watch\r");
  await terminal.shows("any key ends it");
  const drawn = terminal.raw.split(";1H").map((text) => text.split("\x1b")[0] ?? "");
  for (const text of drawn.slice(1)) expect(text.length).toBeLessThanOrEqual(WIDTH);
});

test("on a line of ASCII alone nothing else is sent", async () => {
  const terminal = opened(new Terminal(madeNode(), "ascii")).as("olga");
  await terminal.shows(PROMPT);
  for (const line of ["show links", "show modules", "help", "selftest"]) {
    terminal.type(`${line}\r `);
    await terminal.shows(PROMPT);
  }
  expect([...terminal.raw].filter((one) => one > "~")).toEqual([]);
});
