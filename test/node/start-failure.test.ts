// What a KM that cannot start says: the key of node.toml or the file, whatever the system's own words are.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fileFailure, startFailure } from "../../src/node/start-failure.ts";

/** Two listeners of one port each; what the second one fails with. */
async function collision(): Promise<{ readonly port: number; readonly thrown: unknown }> {
  const [first, second] = [createServer(), createServer()];
  await new Promise<void>((resolve) => first.listen(0, "127.0.0.1", resolve));
  const address = first.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const thrown = await new Promise((resolve) => second.once("error", resolve).listen(port, "127.0.0.1"));
  await new Promise((resolve) => first.close(resolve));
  return { port, thrown };
}

test("a port in use names the key of node.toml", async () => {
  const { port, thrown } = await collision();
  const elsewhere = { listen: { host: "127.0.0.2", port } };
  const here = { listen: { host: "127.0.0.1", port } };
  const said = startFailure(thrown, { file: "/etc/qkm/node.toml", kx: elsewhere, metrics: here, node: {} });
  expect(said).toContain(`127.0.0.1:${port} is in use`);
  expect(said).toContain("[metrics] listen in /etc/qkm/node.toml");
  const named = { file: "node.toml", etsi014: { listen: { host: "localhost", port } } };
  expect(startFailure(thrown, named)).toContain("[etsi014] listen in node.toml");
});

test("a file that cannot be used is named with what to do; everything else says itself", () => {
  const dir = mkdtempSync(join(tmpdir(), "qkm-failure-"));
  const failed = (read: () => unknown): unknown => {
    try {
      return read();
    } catch (thrown) {
      return thrown;
    }
  };
  const none = join(dir, "none");
  expect(fileFailure(failed(() => readFileSync(none)))).toBe(
    `${none} is not there: make it, or correct the path (ENOENT).`,
  );
  expect(fileFailure(failed(() => readFileSync(dir)))).toBeUndefined();
  for (const code of ["EACCES", "EPERM", "ENOTDIR", "EISDIR", "ENOSPC", "EROFS", "EMFILE", "EIO"]) {
    expect(fileFailure(Object.assign(new Error(code), { code, path: "/p" }))).toMatch(/^\/p .+: .+ \(E[A-Z]+\)\.$/);
  }
  expect(startFailure(new Error("another"), { file: "node.toml" })).toBeUndefined();
  rmSync(dir, { recursive: true });
});
