// Tests of src/control/socket/socket.ts, dialogue.ts, client.ts: commands over a real Unix socket.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { callControl, NotRunning, watchControl } from "../../../src/control/socket/client.ts";
import { type ControlCommands, LONGEST_REQUEST } from "../../../src/control/socket/dialogue.ts";
import { startControl } from "../../../src/control/socket/socket.ts";
import { Fault } from "../../../src/core/fault.ts";
import { recorder } from "../../support/recorder.ts";
import { until } from "../../support/until.ts";

let dir: string;
let count = 0;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "qkm-control-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

const newPath = (): string => join(dir, `${++count}.sock`);

const COMMANDS: ControlCommands = {
  status: async () => ({ km: "km-a" }),
  echo: async (args) => args,
  nothing: async () => undefined,
  refuse: async () => {
    throw new Fault("BUSY");
  },
  break: async () => {
    throw new TypeError("inner detail");
  },
  async *count({ to }) {
    for (let i = 1; i <= Number(to); i++) yield i;
  },
};

/** Sends raw bytes and reads until the server ends. */
function talk(path: string, bytes: string, end = true): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ path, allowHalfOpen: true });
    let text = "";
    socket.on("data", (chunk) => {
      text += String(chunk);
    });
    socket.on("error", () => {});
    socket.on("end", () => socket.destroy());
    socket.on("close", () => resolve(text));
    if (end) socket.end(bytes);
    else socket.write(bytes);
  });
}

describe("a command", () => {
  it("is answered with what it gives", async () => {
    const path = newPath();
    await using _control = await startControl(path, COMMANDS, recorder().log);
    expect(await callControl(path, "status")).toEqual({ km: "km-a" });
    expect(await callControl(path, "echo", { a: [1, "ü\n"] })).toEqual({ a: [1, "ü\n"] });
    expect(await callControl(path, "nothing")).toBeNull();
  });

  it("that is refused gives the fault", async () => {
    const path = newPath();
    await using _control = await startControl(path, COMMANDS, recorder().log);
    await expect(callControl(path, "refuse")).rejects.toMatchObject({ name: "Fault", code: "BUSY" });
  });

  it("that breaks gives INTERNAL, and its cause goes to the log alone", async () => {
    const path = newPath();
    const told = recorder();
    await using _control = await startControl(path, COMMANDS, told.log);
    expect(await talk(path, '{"command":"break"}\n')).toBe(
      '{"ok":false,"error":{"code":"INTERNAL","message":"an internal error"}}\n',
    );
    expect(told.lines[0]).toMatchObject({ level: "error", fields: { err: { message: "inner detail" } } });
  });

  it("may answer line after line", async () => {
    const path = newPath();
    await using _control = await startControl(path, COMMANDS, recorder().log);
    const seen: unknown[] = [];
    for await (const value of watchControl(path, "count", { to: 5 })) seen.push(value);
    expect(seen).toEqual([1, 2, 3, 4, 5]);
  });

  it("that answers for ever is ended when its client goes", async () => {
    const path = newPath();
    let ended = false;
    async function* watch() {
      try {
        for (let i = 0; ; i++) {
          yield i;
          await new Promise((resolve) => setImmediate(resolve));
        }
      } finally {
        ended = true;
      }
    }
    await using _control = await startControl(path, { watch }, recorder().log);
    for await (const value of watchControl(path, "watch")) if (value === 3) break;
    await until("the watch is ended", () => ended);
  });

  it("is answered in its turn when several come at once", async () => {
    const path = newPath();
    await using _control = await startControl(path, COMMANDS, recorder().log);
    const text = await talk(path, '{"command":"count","args":{"to":2}}\n{"command":"refuse"}\n{"command":"status"}\n');
    expect(
      text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { ok: true, result: 1 },
      { ok: true, result: 2 },
      { ok: false, error: { code: "BUSY", message: "too many requests are waiting" } },
      { ok: true, result: { km: "km-a" } },
    ]);
  });
});

describe("a bad request", () => {
  it.each([
    ["is no JSON", "status\n", /one line of JSON/],
    ["is no object", '"status"\n', /must be a JSON object/],
    ["names no command", "{}\n", /the commands are: status, echo/],
    ["names an unknown command", '{"command":"toString"}\n', /no such command/],
    ["has args that are no object", '{"command":"echo","args":[]}\n', /args must be an object/],
  ])("that %s is refused, and the connection goes on", async (_, bytes, message) => {
    const path = newPath();
    await using _control = await startControl(path, COMMANDS, recorder().log);
    const [first = "", second = ""] = (await talk(path, `${bytes}{"command":"status"}\n`)).split("\n");
    const { error } = JSON.parse(first) as { error: { code: string; message: string } };
    expect(error.code).toBe("MALFORMED_REQUEST");
    expect(error.message).toMatch(message);
    expect(JSON.parse(second)).toEqual({ ok: true, result: { km: "km-a" } });
  });

  it("that is too long, or one of too many, ends the connection", async () => {
    const path = newPath();
    await using _control = await startControl(path, COMMANDS, recorder().log);
    expect(await talk(path, "x".repeat(LONGEST_REQUEST + 1), false)).toContain("MALFORMED_REQUEST");
    expect(await talk(path, '{"command":"status"}\n'.repeat(18), false)).toContain("BUSY");
  });
});

describe("the socket", () => {
  it("is for its owner alone, and goes with the server", async () => {
    const path = newPath();
    {
      await using _control = await startControl(path, COMMANDS, recorder().log);
      expect(statSync(path).mode & 0o777).toBe(0o600);
    }
    expect(existsSync(path)).toBe(false);
  });

  it("that an ended process left is replaced", async () => {
    const path = newPath();
    const leave = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", leave]);
    expect(statSync(path).isSocket()).toBe(true);
    await expect(callControl(path, "status")).rejects.toBeInstanceOf(NotRunning);
    await using _control = await startControl(path, COMMANDS, recorder().log);
    expect(await callControl(path, "status")).toEqual({ km: "km-a" });
  });

  it("at which somebody answers is left alone", async () => {
    const path = newPath();
    await using _control = await startControl(path, COMMANDS, recorder().log);
    await expect(startControl(path, {}, recorder().log)).rejects.toThrow(/a key manager that runs answers/);
    expect(await callControl(path, "status")).toEqual({ km: "km-a" });
  });

  it("never replaces a file, and wants a short path", async () => {
    const path = newPath();
    writeFileSync(path, "precious");
    await expect(startControl(path, COMMANDS, recorder().log)).rejects.toThrow(/is no socket/);
    expect(existsSync(path)).toBe(true);
    await expect(startControl(join(dir, "x".repeat(108)), {}, recorder().log)).rejects.toThrow(/longer than 107 bytes/);
  });
});

describe("the client", () => {
  it("says when no key manager runs", async () => {
    await expect(callControl(newPath(), "status")).rejects.toBeInstanceOf(NotRunning);
  });

  it("says when the key manager goes away or does not answer in time", async () => {
    const path = newPath();
    let asked = 0;
    const forever = () => {
      asked += 1;
      return new Promise(() => {});
    };
    const control = await startControl(path, { forever }, recorder().log);
    await expect(callControl(path, "forever", {}, 20)).rejects.toThrow(/did not answer within 20 ms/);
    const pending = callControl(path, "forever");
    await until("it is asked", () => asked === 2);
    const failed = expect(pending).rejects.toThrow(/went away before it answered/);
    await control[Symbol.asyncDispose]();
    await failed;
  });
});
