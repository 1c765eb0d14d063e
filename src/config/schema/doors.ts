// The tables of listeners: doors for applications, other KMs, other networks, controllers and monitors.

import * as v from "valibot";
import { LIMITS } from "../../core/limits.ts";
import { GROUP_NAMES, SUITES_1_2, SUITES_1_3 } from "../../core/tls-choices.ts";
import { certificate } from "./certificate.ts";
import { choice, choices, endpoint, file, flag, httpsUrl, id, integer, secretFile, text } from "./fields.ts";

const tls = {
  certificate: file("this KM's certificate (PEM)"),
  key: secretFile("its private key (PEM), not readable by others"),
  trust: file("the CA whose certificates are let in (PEM)"),
  crl: v.optional(
    v.pipe(
      v.array(file(""), 'must be a list of files, for example ["apps.crl.pem"]'),
      v.description("revocation lists of the authorities in `trust` (PEM)"),
    ),
    [],
  ),
  require_crl: v.optional(flag("let nobody in whose authority has no list in `crl` that is still valid"), false),
};
const door = {
  ...tls,
  require_hybrid: v.optional(flag("refuse clients without X25519MLKEM768"), false),
  min_tls: v.optional(choice(["1.3", "1.2"], "`1.2` for clients that have nothing newer"), "1.3"),
  groups: v.optional(
    choices(GROUP_NAMES, "key exchange groups, the preferred one first; X25519MLKEM768 and X25519 when left out"),
    [],
  ),
  ciphers: v.optional(choices([...SUITES_1_3, ...SUITES_1_2], "cipher suites; those of AES-256-GCM when left out"), []),
  max_connections: v.optional(integer(1, 10_000, "connections at a time"), 256),
};
/** Where nothing older than TLS 1.3 may come. */
const { min_tls: _, ...door13 } = door;

/** The listeners, as docs list them. */
export const DOOR_TABLES = {
  ak: v.strictObject({ listen: endpoint("where applications connect (Q.4161)"), ...door }),
  etsi014: v.strictObject({
    listen: endpoint("where applications connect (ETSI GS QKD 014, HTTPS)"),
    ...door,
    max_additional_slaves: v.optional(
      integer(0, LIMITS.multicastApps - 1, "`additional_slave_SAE_IDs` that a request may name; 0 for no multicast"),
      0,
    ),
  }),
  kx: v.strictObject({ listen: endpoint("where other KMs connect (Q.4163)"), ...tls }),
  metrics: v.strictObject({ listen: endpoint("Prometheus metrics, plain HTTP: a local or management address") }),
  monitoring: v.optional(
    v.strictObject({ listen: endpoint("the same metrics over TLS, for monitors with a client certificate"), ...tls }),
  ),
  controller: v.optional(v.strictObject({ listen: endpoint("where the QKDN controller connects (HTTPS)"), ...tls })),
  etsi015: v.optional(
    v.strictObject({ listen: endpoint("where an SDN controller reads (ETSI GS QKD 015, RESTCONF)"), ...tls }),
  ),
  skip: v.optional(
    v.strictObject({
      listen: endpoint("where encryptors connect (Cisco SKIP, HTTPS)"),
      ...door,
      system: v.optional(id("this KM's system ID; `id` of `[node]` when left out")),
      remotes: v.optional(
        v.array(
          v.strictObject({
            system: v.pipe(
              text("system ID of another key provider, or a pattern with `*`, `?`, `[list]` or `[!list]`"),
              v.maxLength(128, "must have at most 128 characters"),
            ),
            app: id("the application that it stands for, one of `[[apps]]`"),
          }),
          "must be written as [[skip.remotes]]",
        ),
        [],
      ),
      psk: v.optional(
        v.array(
          v.strictObject({
            identity: v.pipe(
              text("what an encryptor without a certificate names itself (TLS 1.2, DHE-PSK)"),
              v.maxLength(128, "must have at most 128 characters"),
            ),
            app: id("the application at home here that it is"),
            key_file: secretFile("file with its key, 32 to 128 hexadecimal digits, not readable by others"),
          }),
          "must be written as [[skip.psk]]",
        ),
        [],
      ),
    }),
  ),
  etsi004: v.optional(
    v.strictObject({
      listen: endpoint("where applications connect (ETSI GS QKD 004, TLS; usually port 25575)"),
      ...door,
    }),
  ),
  etsi020: v.optional(
    v.strictObject({
      listen: endpoint("where key managers of other networks connect (ETSI GS QKD 020, HTTPS)"),
      ...door13,
      client_certificate: v.optional(
        file("this KM's certificate where it connects to other networks (PEM); `certificate` when left out"),
      ),
      client_key: v.optional(secretFile("its private key (PEM), not readable by others")),
      server_trust: v.optional(
        file("the CA of the key managers to which this KM connects (PEM); `trust` when left out"),
      ),
      callback_url: v.optional(
        httpsUrl("this door as other networks reach it, such as `https://kme.example:8020`; `listen` when left out"),
      ),
      timeout_ms: v.optional(
        integer(100, 600_000, "how long keys may take over a border until the other network has acknowledged them"),
        5_000,
      ),
      borders: v.optional(
        v.array(
          v.strictObject({
            id: id("the key manager of another network, as in its certificate"),
            url: v.optional(
              httpsUrl("where it listens, such as `https://kme.example:8020`; without it keys only come in"),
            ),
            synchronous: v.optional(flag("send keys in the synchronous mode: the answer acknowledges them"), false),
            certificates: v.optional(v.array(certificate, "must be written as [[etsi020.borders.certificates]]"), []),
          }),
          "must be written as [[etsi020.borders]]",
        ),
        [],
      ),
    }),
  ),
};
