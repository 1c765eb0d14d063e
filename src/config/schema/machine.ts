// The tables of the machine that a KM runs on: itself, token, memory, watchdog, the cluster it is part of, its records.

import * as v from "valibot";
import { choice, endpoint, endpoints, file, flag, id, integer, powerOfTwo, secretFile, text } from "./fields.ts";

/** The machine by itself. */
export const MACHINE_TABLES = {
  node: v.strictObject({
    id: id("this KM's ID, the same as in its certificates"),
    board: v.optional(text("the hardware that it runs on, one of `boards/`"), "host"),
    store_dir: v.optional(text("folder of the key store"), "store"),
    store_max_bytes: v.optional(integer(1 << 20, 2 ** 44, "largest size of the key store on disk"), 2 ** 30),
    control_socket: v.optional(text("Unix socket for `qkm status` and the like"), "control.sock"),
    log_level: v.optional(choice(["debug", "info", "warn", "error"], "the least that is logged"), "info"),
  }),
  token: v.strictObject({
    module: file("PKCS#11 library of the security module"),
    label: text("label of the token"),
    pin_file: v.optional(secretFile("file with the user PIN, not readable by others"), "pin"),
    softhsm_conf: v.optional(file("SoftHSM's configuration file; leave it out for other tokens")),
    parameters: v.optional(text("what the library is given when it starts, for NSS; leave it out for other tokens")),
    seal: v.optional(
      choice(
        ["auto", "direct", "envelope"],
        "`direct`: the token seals every block; `envelope`: it encrypts data keys",
      ),
      "auto",
    ),
    epoch_s: v.optional(integer(1, 31_536_000, "a new KEK after this time"), 3_600),
    epoch_seals: v.optional(integer(1_000, 2 ** 31, "a new KEK after so many seals"), 1_000_000),
    deadline_s: v.optional(integer(1, 120, "a token that has not answered a call after this time is gone"), 5),
  }),
  memory: v.optional(
    v.strictObject({
      slab_bytes: v.optional(integer(1 << 18, 2 ** 32, "locked memory for open blocks"), 4 << 20),
      ring_bytes: v.optional(v.pipe(integer(1 << 17, 1 << 28, "locked memory for answers"), powerOfTwo), 1 << 20),
      allow_unlocked: v.optional(flag("start although memory cannot be locked (development only)"), false),
    }),
    {},
  ),
  watchdog: v.optional(
    v.strictObject({
      device: v.optional(text("the hardware watchdog, such as `/dev/watchdog0`, or `none`; the board's when left out")),
      required: v.optional(flag("refuse to start without it"), false),
    }),
    {},
  ),
};

/** `[cluster]`: several machines that are one KM. */
export const CLUSTER = v.optional(
  v.strictObject({
    member: id("which of the machines that are this KM this one is"),
    endpoints: v.pipe(endpoints("where the voters of etcd listen"), v.minLength(1, "must name at least one")),
    certificate: file("this member's certificate for etcd (PEM)"),
    key: secretFile("its private key (PEM), not readable by others"),
    trust: file("the CA that signs etcd's certificates (PEM)"),
    lease_s: v.optional(integer(2, 600, "how long an active member may be silent before another takes over"), 3),
  }),
);

/** `[audit]`: what became of each byte of key. */
export const AUDIT = v.optional(
  v.strictObject({
    dir: v.optional(text("folder of the audit log"), "audit"),
    max_bytes: v.optional(integer(1 << 20, 2 ** 44, "largest size of the audit log on disk"), 2 ** 30),
    keep: v.optional(
      choice(
        ["newest", "all"],
        "at `max_bytes`: `newest` removes the oldest segment and notes it; `all` removes nothing, and nothing is done with keys until segments are moved away",
      ),
      "newest",
    ),
    gather_ms: v.optional(integer(10, 1_000, "how long events are gathered before they are sealed and written"), 100),
  }),
  {},
);

/** `[syslog]`: a copy of log and audit log. */
export const SYSLOG = v.optional(
  v.strictObject({
    server: endpoint("the syslog server (RFC 5424 over TLS, RFC 5425; its usual port is 6514)"),
    trust: file("the CA that signed the server's certificate (PEM)"),
    certificate: v.optional(file("certificate that this KM shows to the server, if it wants one (PEM)")),
    key: v.optional(secretFile("its private key (PEM), not readable by others")),
    dir: v.optional(text("folder for what waits for the server"), "syslog"),
    max_bytes: v.optional(integer(1 << 20, 2 ** 40, "most that waits on disk; then the oldest is lost"), 64 << 20),
  }),
);
