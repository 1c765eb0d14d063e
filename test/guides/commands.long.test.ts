// docs/guides/tls-psk.md and skip-routers.md: their commands, run as they stand there, in the reference network.

import { appendFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config/read.ts";
import { type Up, up } from "../cli/qkm.ts";
import { hasOpenssl } from "../skip/kit.ts";
import { eventually } from "../system/support/eventually.ts";
import { commandsOf, guideDir, type Ran, runCommands, tomlOf } from "./support/guide.ts";

const folder = guideDir();
const dir = join(folder.path, ".qkm");
let network: Up;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Another test may have taken a port between its choice and its use: it ends some time. */
const begin = (...args: readonly string[]): Promise<void> =>
  eventually(
    "the network is up",
    async () => {
      network = await up(dir, ...args);
      return true;
    },
    240_000,
    2_000,
  );

const inFolder = (commands: string): Promise<Ran> => runCommands(folder.path, commands);

describe.skipIf(!hasOpenssl)("the commands of the guides", () => {
  beforeAll(async () => {
    await begin("--doors", "skip");
  }, 300_000);
  afterAll(async () => {
    await network?.[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  }, 300_000);

  test("tls-psk.md, 1 to 3: client and server get a key, and a connection; with another key there is none", async () => {
    const commands = commandsOf("tls-psk.md", 1, 2, 3).replaceAll("4433", `${await freePort()}`);
    const { code, stdout, stderr } = await inFolder(commands);
    expect([code, stdout]).toEqual([0, "olleh\n"]);
    expect(stderr).toContain("alert illegal parameter");
    expect((await inFolder("cat server.log")).stdout).toContain("Ciphersuite: TLS_CHACHA20_POLY1305_SHA256");
  });

  test("skip-routers.md, 2: a router with a certificate is told which systems there are", async () => {
    const { code, stdout } = await inFolder(commandsOf("skip-routers.md", 2));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ key: true, localSystemID: "km-a", remoteSystemID: ["km-b", "km-c"] });
  });

  test("skip-routers.md, 3: two routers get the same key, once", async () => {
    const { code, stdout } = await inFolder(commandsOf("skip-routers.md", 3));
    expect(code).toBe(0);
    const [told, ...keys] = stdout.split("\n").filter((line) => line.startsWith("{"));
    const answers = [...stdout.matchAll(/\{"keyId":"[0-9a-f]{32}","key":"[0-9a-f]{64}"\}/g)].map(([text]) => text);
    expect([told, keys.length > 0]).toEqual([expect.stringContaining("remoteSystemID"), true]);
    expect(answers).toHaveLength(2);
    expect(answers[1]).toBe(answers[0]);
    expect(stdout).toContain("HTTP/1.1 400");
  });

  test("skip-routers.md, 1: the table and the pre-shared key make a door for a router of one's own", async () => {
    await network[Symbol.asyncDispose]();
    const port = await freePort();
    const km = join(dir, "km-a");
    const toml = tomlOf("skip-routers.md", 1).replace("192.0.2.7:4015", `127.0.0.1:${port}`);
    // The network has a door already: its table gives way to the guide's.
    const before = (await inFolder(`sed '/^\\[skip\\]/,$d' .qkm/km-a/node.toml`)).stdout;
    appendFileSync(join(km, "with-guide.toml"), `${before}\n${toml}\n`);
    const made = await runCommands(km, commandsOf("skip-routers.md", 1).replace("node.toml", "with-guide.toml"));
    expect([made.code, made.stderr]).toEqual([0, ""]);
    expect(loadConfig(join(km, "with-guide.toml")).skip).toMatchObject({
      psk: [{ identity: "router-1", app: "app-a1" }],
    });
    await inFolder("mv .qkm/km-a/with-guide.toml .qkm/km-a/node.toml");
    await begin();
    const asked = await inFolder(
      `printf 'GET /key?remoteSystemID=km-b HTTP/1.1\\r\\nHost: km\\r\\nConnection: close\\r\\n\\r\\n' |
      openssl s_client -connect 127.0.0.1:${port} -tls1_2 -quiet -psk_identity router-1 -psk "$(cat .qkm/km-a/router-1.psk)"`,
    );
    expect(asked.stdout).toContain("HTTP/1.1 200");
  });
});
