// The commands that need no running KM: what they say, and with which exit codes.

import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { qkm, tempDir } from "./qkm.ts";

test("an unknown command or option ends with 64", async () => {
  expect((await qkm("fly")).code).toBe(64);
  expect((await qkm("up", "--fast")).code).toBe(64);
});

describe("a single node", () => {
  test("init provisions it, says what to do next, changes nothing the second time, and check finds it right", async () => {
    using folder = tempDir();
    const dir = join(folder.path, "node");
    const config = join(dir, "node.toml");
    const made = await qkm("init", "--id", "km-x", "--dir", dir, "--app", "app-x1", "--host", "192.0.2.7");
    expect(made.stderr).toBe("");
    expect(made.stdout).toContain("What to do next:");
    expect(statSync(join(dir, "pin")).mode & 0o077).toBe(0);
    const before = readFileSync(config, "utf8");
    expect(before).toContain('id = "km-x"');

    const certificate = readFileSync(join(dir, "tls/server.pem"));
    expect((await qkm("init", "--id", "km-x", "--dir", dir, "--app", "app-x1")).code).toBe(0);
    expect(readFileSync(config, "utf8")).toBe(before);
    expect(readFileSync(join(dir, "tls/server.pem"))).toEqual(certificate);

    const checked = await qkm("check", config);
    expect(checked).toMatchObject({ code: 0, stderr: "" });
    expect(checked.stdout).toContain("KM km-x on board host, 0 links, 0 peers, 1 application");
    expect(checked.stdout).toContain("has 0 keys of this KM");
    expect(existsSync(join(dir, "store"))).toBe(false);
    rmSync(join(dir, "token/tokens"), { recursive: true });
    const without = await qkm("check", config);
    expect(without.code).toBe(69);
    expect(without.stdout).toContain("MISSING: the token: ");
    expect((await qkm("check", config, "--files")).code).toBe(0);
    mkdirSync(join(dir, "store"));
    writeFileSync(join(dir, "store/data.mdb"), new Uint8Array(100_000));
    const damaged = await qkm("check", config);
    expect(damaged.code).toBe(69);
    expect(damaged.stdout).toContain("is damaged");
    expect(existsSync(join(dir, "store/data.mdb"))).toBe(true);
  });

  test("init takes a token that is there, of any make", async () => {
    using folder = tempDir();
    const dir = join(folder.path, "node");
    const library = join(folder.path, "libtoken.so");
    writeFileSync(library, "");
    const options = ["init", "--id", "km-x", "--dir", dir, "--module", library];
    expect((await qkm(...options)).code).toBe(64);
    const made = await qkm(...options, "--label", "my token");
    expect(made).toMatchObject({ code: 0, stderr: "" });
    expect(made.stdout).toContain(`Write the token's user PIN to ${join(dir, "pin")}`);
    const config = readFileSync(join(dir, "node.toml"), "utf8");
    expect(config).toContain(`module = "${library}"\nlabel = "my token"`);
    expect(config).not.toContain("softhsm_conf");
    expect(existsSync(join(dir, "token"))).toBe(false);
  });

  test("init makes the certificate of a controller, and its door at every node that is given its authority", async () => {
    using folder = tempDir();
    const [first, second] = ["x", "y"].map((name) => join(folder.path, name));
    expect((await qkm("init", "--id", "km-x", "--dir", `${first}`, "--controller", "ctl-1")).code).toBe(0);
    expect(statSync(join(`${first}`, "controllers/ctl-1.key")).mode & 0o077).toBe(0);
    const shared = ["--ca", join(`${first}`, "ca")];
    expect((await qkm("init", "--id", "km-y", "--dir", `${second}`, ...shared)).code).toBe(0);
    for (const dir of [first, second]) {
      const config = join(`${dir}`, "node.toml");
      expect(readFileSync(config, "utf8")).toContain('[controller] # the QKDN controller\nlisten = "127.0.0.1:4164"');
      expect((await qkm("check", config)).code).toBe(0);
    }
  });

  test("check tells every complaint with file and line, and ends with 78", async () => {
    using folder = tempDir();
    const dir = join(folder.path, "node");
    const config = join(dir, "node.toml");
    await qkm("init", "--id", "km-x", "--dir", dir);
    writeFileSync(config, readFileSync(config, "utf8").replace('board = "host"', 'board = "moon"\nbord = 1'));
    chmodSync(join(dir, "pin"), 0o644);
    const checked = await qkm("check", config);
    expect(checked.code).toBe(78);
    expect(checked.stderr).toContain(`${config}:5: node.board: there is no board "moon"`);
    expect(checked.stderr).toContain(`${config}:6: node.bord: this name is not known`);
    expect(checked.stderr).toContain("token.pin_file:");
  });

  test("zeroise of a KM that is down asks first, then destroys its store", async () => {
    using folder = tempDir();
    const dir = join(folder.path, "node");
    await qkm("init", "--id", "km-x", "--dir", dir);
    const config = join(dir, "node.toml");
    const asked = await qkm("zeroise", config);
    expect(asked.code).toBe(64);
    expect(asked.stderr).toContain("--yes");
    const done = await qkm("zeroise", config, "--yes");
    expect(done).toMatchObject({ code: 0, stderr: "" });
    expect(existsSync(join(dir, "store"))).toBe(false);
  });

  test("init provisions a node of two members: a folder for each, and for each voter of etcd", async () => {
    using folder = tempDir();
    const dir = join(folder.path, "node");
    const voters = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].flatMap((address) => ["--etcd", address]);
    const options = ["init", "--id", "km-x", "--dir", dir, "--members", "2", "--host", "192.0.2.10", ...voters];
    expect(await qkm(...options)).toMatchObject({ code: 0, stderr: "" });
    expect(existsSync(join(dir, "node.toml"))).toBe(false);
    for (const member of ["1", "2"]) {
      const own = join(dir, `km-x.${member}`);
      expect((await qkm("check", join(own, "node.toml"))).stdout).toContain("KM km-x on board host");
      const config = readFileSync(join(own, "node.toml"), "utf8");
      expect(config).toContain(`[cluster] # this KM is several machines; see docs/cluster.md\nmember = "${member}"`);
      expect(config).toContain('endpoints = ["192.0.2.1:2379", "192.0.2.2:2379", "192.0.2.3:2379"]');
      expect(config).toContain('trust = "ca/etcd.pem"');
      expect(readdirSync(join(own, "ca")).toSorted()).toEqual(["apps.pem", "etcd.pem", "kms.pem"]);
      expect(readFileSync(join(own, "tls/kx.key"))).toEqual(readFileSync(join(dir, "tls/kx.key")));
      expect(statSync(join(own, "tls/kx.key")).mode & 0o077).toBe(0);
    }
    const flags = readFileSync(join(dir, "etcd-2/etcd.env"), "utf8");
    expect(flags).toContain('ETCD_CLIENT_CERT_AUTH="true"\n');
    expect(flags).toContain('ETCD_LISTEN_CLIENT_URLS="https://192.0.2.2:2379"\n');
    expect(flags).toContain('ETCD_MAX_TXN_OPS="8192"\n');
    expect(await qkm(...options)).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(join(dir, "etcd-2/etcd.env"), "utf8")).toBe(flags);
  });

  test.each([
    ["--etcd", "192.0.2.1"],
    ["--members", "2", "--etcd", "etcd.example"],
    ["--members", "2", "--etcd", "192.0.2.1", "--etcd", "192.0.2.2"],
  ])("init refuses voters that cannot be: %s %s %s %s", async (...options) => {
    expect((await qkm("init", "--id", "km-x", "--dir", "/nowhere", ...options)).code).toBe(64);
  });

  test("an ID that is none is refused with the rule", async () => {
    const refused = await qkm("init", "--id", "km x", "--dir", "/nowhere");
    expect(refused.code).toBe(64);
    expect(refused.stderr).toContain("1 to 64");
  });
});

describe("a reference network", () => {
  test("init provisions it once; a part that is missing later is an error with the remedy", async () => {
    using folder = tempDir();
    expect((await qkm("init", "--dir", folder.path)).code).toBe(0);
    for (const km of ["km-a", "km-b", "km-c"]) {
      expect((await qkm("check", join(folder.path, km, "node.toml"))).code).toBe(0);
    }
    const text = readFileSync(join(folder.path, "km-a/node.toml"), "utf8");
    expect(text).toContain('[[topology]]\nlink = "bc"\nkms = ["km-b", "km-c"]\n');
    rmSync(join(folder.path, "km-b/node.toml"));
    const again = await qkm("init", "--dir", folder.path);
    expect(again.code).toBe(78);
    expect(again.stderr).toContain(`${join(folder.path, "km-b/node.toml")} is missing`);
  });
});
