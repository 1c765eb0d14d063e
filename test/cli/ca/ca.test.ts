// `qkm ca`: certificates and revocation lists of the authorities that `qkm init` made.

import "reflect-metadata";
import { X509Certificate } from "node:crypto";
import { copyFileSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { authority } from "../../../src/cli/provision/certificates.ts";
import { authorityFiles } from "../../../src/cli/provision/plan.ts";
import { namesIn } from "../../../src/net/tls/der.ts";
import { readRevocationLists } from "../../../src/net/tls/revocation-list.ts";
import { qkm, tempDir } from "../qkm.ts";

const certificateAt = (path: string) => new X509Certificate(readFileSync(path));

test("qkm ca issues, renews and revokes; a list that is signed anew keeps what is revoked", async () => {
  using folder = tempDir();
  const ca = join(folder.path, "ca");
  for (const name of ["apps", "kms"] as const) await authority(authorityFiles(ca, name), `test ${name}`);
  const ofApps = certificateAt(join(ca, "apps.pem"));
  const path = join(folder.path, "app-a3.pem");
  const serialOf = (file: string): string => namesIn(certificateAt(file).raw).serial;
  const listed = () => {
    const [list] = readRevocationLists(readFileSync(join(ca, "apps.crl.pem"), "utf8"), [ofApps]);
    return [...(list?.serials ?? [])];
  };

  expect(await qkm("ca", "issue", "app", "app-a3", "--ca", ca, "--out", folder.path)).toMatchObject({ code: 0 });
  expect(certificateAt(path).subjectAltName).toBe("URI:urn:qkm:app:app-a3");
  expect(statSync(join(folder.path, "app-a3.key")).mode & 0o077).toBe(0);
  expect((await qkm("ca", "issue", "app", "app-a3", "--ca", ca, "--out", folder.path)).code).toBe(1);

  const stolen = join(folder.path, "stolen.pem");
  copyFileSync(path, stolen);
  const first = serialOf(path);
  expect(await qkm("ca", "renew", path, "--ca", ca)).toMatchObject({ code: 0, stderr: "" });
  const renewed = certificateAt(path);
  expect(renewed.verify(ofApps.publicKey)).toBe(true);
  expect(renewed.subjectAltName).toBe("URI:urn:qkm:app:app-a3");
  expect(renewed.publicKey.equals(certificateAt(stolen).publicKey)).toBe(true);
  expect(serialOf(path)).not.toBe(first);

  expect(await qkm("ca", "revoke", stolen, "--ca", ca)).toMatchObject({ code: 0, stderr: "" });
  expect(listed()).toEqual([first]);
  expect(await qkm("ca", "revoke", path, "--ca", ca)).toMatchObject({ code: 0 });
  expect(await qkm("ca", "crl", "--ca", ca, "--days", "60")).toMatchObject({ code: 0, stderr: "" });
  expect(listed().toSorted()).toEqual([first, serialOf(path)].toSorted());
  expect(
    readRevocationLists(readFileSync(join(ca, "kms.crl.pem"), "utf8"), [certificateAt(join(ca, "kms.pem"))]),
  ).toHaveLength(1);
});

test("qkm ca says what is wrong with a certificate that it cannot revoke", async () => {
  using folder = tempDir();
  const ca = join(folder.path, "ca");
  await authority(authorityFiles(ca, "apps"), "test apps");
  await authority({ cert: join(folder.path, "other.pem"), key: join(folder.path, "other.key") }, "another");
  const strange = await qkm("ca", "revoke", join(folder.path, "other.pem"), "--ca", ca);
  expect(strange).toMatchObject({ code: 1 });
  expect(strange.stderr).toContain("has signed it");
  expect((await qkm("ca", "revoke", join(ca, "apps.key"), "--ca", ca)).code).toBe(69);
  expect((await qkm("ca", "crl", "--ca", folder.path)).code).toBe(69);
});
