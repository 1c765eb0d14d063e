// How a certificate of another make is named.

import * as v from "valibot";
import { text } from "./fields.ts";

const FINGERPRINT = /^(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$/;

/** One of the ways to know an application's certificate. */
export const certificate = v.pipe(
  v.strictObject({
    uri: v.optional(text("a URI among its alternative names")),
    dns: v.optional(text("a DNS name among its alternative names; no patterns")),
    cn: v.optional(text("its common name; with `issuer`")),
    issuer: v.optional(text("its issuer's name, as `openssl x509 -noout -issuer -nameopt RFC2253` prints it")),
    sha256: v.optional(
      v.pipe(
        text("its SHA-256 fingerprint, as `openssl x509 -noout -fingerprint -sha256` prints it"),
        v.check((digits) => FINGERPRINT.test(digits), "must be 64 hexadecimal digits, with colons or without"),
      ),
    ),
  }),
  v.check(
    ({ uri, dns, cn, issuer, sha256 }) =>
      [uri, dns, cn ?? issuer, sha256].filter((name) => name !== undefined).length === 1 &&
      (cn === undefined) === (issuer === undefined),
    "must have one of uri, dns, sha256, or cn with issuer",
  ),
);
