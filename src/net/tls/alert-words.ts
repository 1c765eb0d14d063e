// What an alert of the other end says of our own certificate, in words that tell what to do.

/** Alerts (RFC 8446 6.2) with which a key manager refuses a certificate once the handshake has ended. */
const WORDS: Readonly<Record<string, string>> = {
  42: "our certificate is not accepted: compare it with what the door wants",
  44: "our certificate is revoked: have another one issued",
  45: "our certificate has expired, or is not valid yet: have it renewed, or compare the clocks",
  46: "our certificate does not name exactly one application as it should",
  48: "our certificate is signed by an authority that is not trusted there",
  49: "we are not admitted there: [[apps]] and the directory of the key manager name other applications",
  116: "we showed no certificate",
};

/** Undefined for an error that is no such alert. */
export function alertWords({ message }: Error): string | undefined {
  const [, number = ""] = /SSL alert number (\d+)/.exec(message) ?? [];
  const words = WORDS[number];
  return words === undefined ? undefined : `refused by the other end: ${words} (TLS alert ${number})`;
}
