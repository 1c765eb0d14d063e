// Keys on stdout: from the keys to there their bytes are in one buffer, which is zeroed.

import type { SuppliedKey } from "../../ak/client.ts";
import { base64Length, encodeBase64 } from "../../wire/base64.ts";

/** Text around keys: before them all, between two, behind them all; and around the base64 of each. None of it secret. */
interface Layout {
  readonly head: string;
  readonly between: string;
  readonly tail: string;
  around(keyId: string): readonly [before: string, after: string];
}

/** One line per key: its ID and its base64, behind what stands first. */
export const lines = (first = ""): Layout => ({
  head: "",
  between: "",
  tail: "",
  around: (keyId) => [`${first}${keyId}  `, "\n"],
});

/** The keys as one JSON object, which may have other members. */
export const jsonObject = (members = ""): Layout => ({
  head: `{${members}"keys":[`,
  between: ",",
  tail: "\n]}\n",
  around: (keyId) => [`\n  {"key_ID":${JSON.stringify(keyId)},"key":"`, '"}'],
});

/** Writes the keys, and disposes them. */
export async function print(keys: readonly SuppliedKey[], { head, between, tail, around }: Layout): Promise<void> {
  const pieces = keys.map(({ keyId }, index) => {
    const [before, after] = around(keyId);
    return { before: index === 0 ? before : between + before, after };
  });
  const text = head + tail + pieces.map(({ before, after }) => before + after).join("");
  const room = keys.reduce((sum, { key }) => sum + base64Length(key.length), Buffer.byteLength(text));
  const output = Buffer.alloc(room);
  let at = output.write(head);
  for (const [index, supplied] of keys.entries()) {
    using one = supplied;
    at += output.write(pieces[index]?.before ?? "", at);
    at = one.key.lend((bytes) => encodeBase64(bytes, 0, bytes.length, output, at));
    at += output.write(pieces[index]?.after ?? "", at);
  }
  at += output.write(tail, at);
  await new Promise((resolve) => process.stdout.write(output.subarray(0, at), resolve));
  output.fill(0);
}
