// Which keys of the configuration name files: those that are looked for, and made absolute for drivers.

import { expect, test } from "vitest";
import { DRIVERS } from "../../drivers/index.ts";
import { filesOf, mapFiles } from "../../src/config/paths.ts";
import { SCHEMA } from "../../src/config/schema.ts";

const TLS = { certificate: "c", key: "k", trust: "t", crl: ["r1", "r2"] };
const WRITTEN = {
  token: { module: "m", label: "no file", pin_file: "pin", softhsm_conf: "s" },
  ak: TLS,
  skip: { ...TLS, psk: [{ identity: "no file", key_file: "one" }, { key_file: "two" }] },
  etsi020: { client_certificate: "cc", client_key: "ck", server_trust: "st" },
  cluster: { member: "no file", certificate: "c", key: "k", trust: "t" },
  syslog: { trust: "t", certificate: "c", key: "k", dir: "made when it is missing" },
  links: [
    { id: "ab", port: "looked for by the driver", pairing_key_file: "p" },
    { box: { remote: "no file", certificate: "c", key: "k", trust: "t" } },
  ],
};

test("files are told from other text, secrets from other files, wherever they stand", () => {
  const told = filesOf(SCHEMA, WRITTEN).map(({ path, isSecret }) => `${path.join(".")}${isSecret ? " secret" : ""}`);
  expect(told).toEqual([
    ...["token.module", "token.pin_file secret", "token.softhsm_conf"],
    ...["ak.certificate", "ak.key secret", "ak.trust", "ak.crl.0", "ak.crl.1"],
    ...["skip.certificate", "skip.key secret", "skip.trust", "skip.crl.0", "skip.crl.1"],
    ...["skip.psk.0.key_file secret", "skip.psk.1.key_file secret"],
    ...["etsi020.client_certificate", "etsi020.client_key secret", "etsi020.server_trust"],
    ...["cluster.certificate", "cluster.key secret", "cluster.trust"],
    ...["syslog.trust", "syslog.certificate", "syslog.key secret"],
    ...["links.0.pairing_key_file secret"],
    ...["links.1.box.certificate", "links.1.box.key secret", "links.1.box.trust"],
  ]);
});

test("what is no file stays as it is when paths are made absolute", () => {
  const [, link] = WRITTEN.links;
  expect(mapFiles({ entries: DRIVERS.etsi014.options }, link, ({ file }) => `/etc/${file}`)).toEqual({
    box: { remote: "no file", certificate: "/etc/c", key: "/etc/k", trust: "/etc/t" },
  });
});
