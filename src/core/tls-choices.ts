// What TLS of a door may be told to accept; the defaults are the strictest.

/** Key exchange groups by their TLS names; the first is the hybrid one. */
export const GROUP_NAMES = ["X25519MLKEM768", "X25519", "P-256", "P-384"] as const;
/** A key exchange group that this project knows. */
export type Group = (typeof GROUP_NAMES)[number];

/** Cipher suites of TLS 1.3 (RFC 8446), by their OpenSSL names. */
export const SUITES_1_3 = ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"] as const;
/** Those of TLS 1.2 with forward secrecy and AEAD (RFC 5289). */
export const SUITES_1_2 = [
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
] as const;
/** A cipher suite that a door may be told to accept. */
export type Suite = (typeof SUITES_1_3)[number] | (typeof SUITES_1_2)[number];

/** SSL_OP_CLEANSE_PLAINTEXT of OpenSSL 3: what was decrypted is zeroed when it was read. Node has no name for it. */
export const CLEANSE_PLAINTEXT = 2;

/** The least version of TLS that a door accepts. */
export type MinTls = "1.3" | "1.2";

/** What a door is told of TLS; without `groups` or `ciphers`, or with empty ones, the defaults. */
export interface DoorTls {
  /** Refuses clients without X25519MLKEM768. */
  readonly requireHybrid: boolean;
  readonly minTls?: MinTls;
  readonly groups?: readonly Group[];
  readonly ciphers?: readonly Suite[];
}
